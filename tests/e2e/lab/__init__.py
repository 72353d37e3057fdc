"""A small Internet of network namespaces, with a server, clients and somebody to visit."""
