"""The store against a model of it in plain Python, over random histories."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from foretell.store import Result, State, Store, Trial

OWNERS = st.sampled_from(["a", "b", "c"])


class Model(RuleBasedStateMachine):
    """Trials as dictionaries; every claim ever made may be finished, renewed or given back."""

    @initialize()
    def begin(self) -> None:
        self.time = 0.0
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.open()
        self.store.put_study("s", {})
        self.rows: list[dict[str, object]] = []
        self.claims: list[Trial] = []

    def open(self) -> Store:
        return Store(Path(self.folder.name) / "a.db", now=lambda: self.time)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def held(self, trial: Trial) -> dict[str, object] | None:
        row = self.rows[trial.number]
        mine = row["state"] == "running" and row["token"] == (trial.owner, trial.attempts)
        return row if mine else None

    @rule(count=st.integers(1, 4))
    def add(self, count: int) -> None:
        new = [(f"k{i}", i) for i in range(max(0, len(self.rows) - 1), len(self.rows) + count)]
        fresh = [k for k, _ in new if int(k[1:]) >= len(self.rows)]
        assert self.store.add_trials("s", new) == len(fresh)
        self.rows += [{"state": "pending", "tries": 0, "lost": 0} for _ in fresh]

    @rule(seconds=st.integers(1, 8))
    def wait(self, seconds: int) -> None:
        self.time += seconds

    @rule(owner=OWNERS, count=st.integers(1, 3), lease=st.integers(1, 10))
    def claim(self, owner: str, count: int, lease: int) -> None:
        free = [
            i
            for i, r in enumerate(self.rows)
            if r["state"] == "pending" or (r["state"] == "running" and r["until"] <= self.time)
        ][:count]
        taken = self.store.claim("s", owner, count, lease)
        assert [t.number for t in taken] == free
        for trial in taken:
            row = self.rows[trial.number]
            row["lost"] += row["state"] == "running"
            row["tries"] += 1
            row.update(state="running", until=self.time + lease, token=(owner, row["tries"]))
            assert (trial.attempts, trial.lost) == (row["tries"], row["lost"])
        self.claims += taken

    @rule(data=st.data(), state=st.sampled_from([s for s in State if s.final]))
    def finish(self, data: st.DataObject, state: State) -> None:
        if not self.claims:
            return
        trial = data.draw(st.sampled_from(self.claims))
        row = self.held(trial)
        value = len(self.claims) if state is State.done else None
        found = self.store.finish(trial, Result(trial.id, state, value))
        assert found is (State.stale if row is None else state)
        if row is not None:
            row.update(state=state.value, value=value)

    @rule(data=st.data(), lease=st.integers(1, 10))
    def renew(self, data: st.DataObject, lease: int) -> None:
        some = data.draw(st.lists(st.sampled_from(self.claims), max_size=3)) if self.claims else []
        kept = [t for t in some if self.held(t)]
        assert self.store.renew(some, lease) == kept
        for trial in kept:
            self.rows[trial.number]["until"] = self.time + lease

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        if self.claims:
            trial = data.draw(st.sampled_from(self.claims))
            row = self.held(trial)
            assert self.store.give_back([trial]) == (row is not None)
            if row is not None:
                row["state"] = "pending"

    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        mine = [r for r in self.rows if r["state"] == "running" and r["token"][0] == owner]
        assert self.store.release(owner) == len(mine)
        for row in mine:
            row["state"] = "pending"

    @rule(state=st.sampled_from([s for s in State if s.final]))
    def retry(self, state: State) -> None:
        some = [r for r in self.rows if r["state"] == state.value]
        assert self.store.retry("s", [state]) == len(some)
        for row in some:
            row.update(state="pending", value=None)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "store"):
            return
        found = [(t.state, t.attempts, t.lost, t.value) for t in self.store.trials("s")]
        want = [(r["state"], r["tries"], r["lost"], r.get("value")) for r in self.rows]
        assert found == want
        assert sum(self.store.counts("s").values()) == len(self.rows)


Model.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestModel = Model.TestCase
