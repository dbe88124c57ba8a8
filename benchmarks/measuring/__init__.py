"""What all benchmarks have in common: samples as data, tables, plots, comparing two runs, processes, the machine."""
