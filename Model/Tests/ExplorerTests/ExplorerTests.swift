import Testing

/// All tests of the explorer, one after the other: there is one machine.
@Suite(.serialized) struct ExplorerTests {}
