def section(p): return ''
