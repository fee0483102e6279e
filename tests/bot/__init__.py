"""The running thing, in one process: mostly on the memory's twin, on a real Valkey where Redis matters."""
