"""Makes what is derived from the code: CRDs, the chart's copy of them, reference pages. `make generate`."""
