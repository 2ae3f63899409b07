package import BongsuModel

extension TickInterval {
  /// Reads `1s`, `100ms`; `nil` for what is no interval.
  package init?(text: String) {
    let milliseconds: Int? =
      if text.hasSuffix("ms") {
        Int(text.dropLast(2))
      } else if text.hasSuffix("s") {
        Int(text.dropLast()).flatMap { $0 < 1_000_000 ? $0 * 1000 : nil }
      } else {
        nil
      }
    guard let milliseconds else { return nil }
    self.init(milliseconds: milliseconds)
  }
}
