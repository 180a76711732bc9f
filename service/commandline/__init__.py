"""The command line: arguments in, words out. Everything heavy is imported inside a command, so that `--help` is
quick."""
