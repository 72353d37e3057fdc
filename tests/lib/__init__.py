"""What the suites of tests share: waiting, network namespaces, packets made by hand."""
