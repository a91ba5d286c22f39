import Testing

@testable import StressKit
