"""The running thing: settings, command line, loops, and the one place where everything is built and closed."""
