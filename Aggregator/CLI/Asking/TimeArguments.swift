/// Instants that count back from now, such as -1h, as arguments of a command line.
///
/// The argument parser takes a word that begins with a dash for options: whenever something else on the line is refused, it
/// looks for -h in it and prints help, with status 0, in place of what was wrong. Joined to its option by an equals sign such
/// a word can only be a value.
enum TimeArguments {
  private static let options: Set<String> = ["--start", "--end", "--time"]

  /// The same line with `--start -1h` written as `--start=-1h`.
  static func joined(_ arguments: [String]) -> [String] {
    var joined: [String] = []
    var index = arguments.startIndex
    while index < arguments.endIndex {
      let word = arguments[index]
      // What follows is no option.
      guard word != "--" else { return joined + arguments[index...] }
      index += 1
      guard options.contains(word), index < arguments.endIndex, isBackFromNow(arguments[index]) else {
        joined.append(word)
        continue
      }
      joined.append("\(word)=\(arguments[index])")
      index += 1
    }
    return joined
  }

  /// Whether a dash and a digit begin the word: there is no such option.
  private static func isBackFromNow(_ word: String) -> Bool {
    let bytes = word.utf8
    return bytes.first == 0x2D && bytes.dropFirst().first.map { (0x30...0x39).contains($0) } == true
  }
}
