import Explorer

/// Every scenario.
public let allScenarios: [Scenario] = pageScenarios + growthScenarios + slabScenarios + tableScenarios + heapScenarios
