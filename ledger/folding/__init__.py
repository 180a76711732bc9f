"""The rules of the log once more, naively: what an audit folds the leaves with, sharing no code with what decides."""
