import Foundation

// Numbers as the reports print them.

extension Int {
  /// 1234567 as 1 234 567.
  var grouped: String {
    let digits = Array(String(magnitude))
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result.append(" ") }
      result.append(digit)
    }
    return self < 0 ? "-" + result : result
  }
}

extension UInt64 {
  /// In KiB, MiB or GiB with one decimal.
  var bytes: String {
    switch self {
    case ..<(1 << 20): (Double(self) / 1024).fixed(1) + " KiB"
    case ..<(1 << 30): (Double(self) / 1_048_576).fixed(1) + " MiB"
    default: (Double(self) / 1_073_741_824).fixed(1) + " GiB"
    }
  }
}

extension Double {
  func fixed(_ decimals: Int) -> String { String(format: "%.\(decimals)f", self) }
}

extension String {
  /// At least `width` wide, the text at the left.
  func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
  /// At least `width` wide, the text at the right.
  func rightAligned(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
