internal import BongsuRecordLog

/// How a secret that nothing can replace stands in its file: `MARK 2 SECRET` as a ``BongsuRecordLog/TwofoldLine``, so that a
/// damaged byte neither loses it nor makes another secret of it.
///
/// The form `MARK 1 ⏎ SECRET ⏎` of earlier releases is read too; write it anew then.
public enum KeptSecret {
  /// What a file holds.
  public struct Reading: Hashable, Sendable {
    public let secret: String
    /// Whether both copies are as they were written.
    public let isWhole: Bool
    /// Whether it is of the form that has one copy without a checksum.
    public let isOld: Bool
  }

  /// The file's text. The secret has no white space.
  public static func text(_ secret: String, mark: String) -> String { TwofoldLine.text("\(mark) 2 \(secret)") }

  /// Reads a file's text; `nil` when no copy is what was written, or it is the file of something else.
  public static func read(_ text: String, mark: String) -> Reading? {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.count == 3, lines[0] == "\(mark) 1", lines[2].isEmpty, !lines[1].isEmpty {
      return Reading(secret: String(lines[1]), isWhole: true, isOld: true)
    }
    guard let (line, isWhole) = TwofoldLine.read(text), line.hasPrefix("\(mark) 2 ") else { return nil }
    return Reading(secret: String(line.dropFirst(mark.count + 3)), isWhole: isWhole, isOld: false)
  }
}
