/// Why a command could not do what it was asked: printed as one line on standard error, exit status 1.
struct CommandFailure: Error, Equatable, CustomStringConvertible {
  /// What failed, the value seen, the next step.
  let description: String

  init(_ description: String) {
    self.description = description
  }
}
