/// A key as people press it.
enum LiveKey: Hashable, Sendable {
  case character(Character)
  case enter
  case backspace
  case tab
  case backTab
  case escape
  case up
  case down
  case left
  case right
  case home
  case end
  case pageUp
  case pageDown
  /// Ctrl-C where the terminal hands it over as a byte, and Ctrl-L.
  case interrupt
  case redraw
}

/// Turns the bytes of a terminal into keys (ECMA-48 control sequences as xterm sends them). Pure.
///
/// A sequence may come in pieces. A lone escape byte is either the key or the beginning of a sequence: it waits until
/// more comes or the caller, after a moment of silence, calls ``flush()``.
struct LiveKeyDecoder {
  /// A sequence longer than this is no key.
  private static let sequenceBytesMax = 32

  private var pending: [UInt8] = []

  /// Whether bytes wait for what follows.
  var isPending: Bool { !pending.isEmpty }

  /// The keys that `bytes` complete.
  mutating func feed(_ bytes: some Sequence<UInt8>) -> [LiveKey] {
    pending.append(contentsOf: bytes)
    var keys: [LiveKey] = []
    var rest = pending[...]
    while let first = rest.first {
      guard let (key, used) = first == 0x1B ? Self.sequence(rest) : Self.plain(rest, first) else { break }
      if let key { keys.append(key) }
      rest = rest.dropFirst(used)
    }
    pending = Array(rest)
    return keys
  }

  /// What waits, taken as it is: an escape byte is the key, anything else was broken off.
  mutating func flush() -> [LiveKey] {
    defer { pending = [] }
    return pending.first == 0x1B ? [.escape] : []
  }

  /// The key at the beginning of `bytes` and how many bytes it took; `nil` when more is needed.
  private static func plain(_ bytes: ArraySlice<UInt8>, _ first: UInt8) -> (key: LiveKey?, used: Int)? {
    switch first {
    case 0x0D, 0x0A: return (.enter, 1)
    case 0x7F, 0x08: return (.backspace, 1)
    case 0x09: return (.tab, 1)
    case 0x03: return (.interrupt, 1)
    case 0x0C: return (.redraw, 1)
    case ..<0x20: return (nil, 1)
    default: break
    }
    let length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
    guard bytes.count >= length else {
      // A lead byte whose followers cannot be followers any more is not worth waiting for.
      return bytes.dropFirst().allSatisfy { $0 & 0xC0 == 0x80 } ? nil : (nil, 1)
    }
    guard let text = String(validating: bytes.prefix(length), as: UTF8.self), let character = text.first else {
      return (nil, 1)
    }
    return (.character(character), length)
  }

  private static func sequence(_ bytes: ArraySlice<UInt8>) -> (key: LiveKey?, used: Int)? {
    let bytes = Array(bytes.prefix(sequenceBytesMax + 1))
    guard bytes.count > 1 else { return nil }
    switch bytes[1] {
    case 0x5B:
      guard let end = bytes.dropFirst(2).firstIndex(where: { (0x40...0x7E).contains($0) }) else {
        return bytes.count > sequenceBytesMax ? (nil, bytes.count) : nil
      }
      return (key(final: bytes[end], parameters: bytes[2..<end]), end + 1)
    case 0x4F:
      return bytes.count > 2 ? (key(final: bytes[2], parameters: []), 3) : nil
    default:
      return (.escape, 1)
    }
  }

  private static func key(final: UInt8, parameters: ArraySlice<UInt8>) -> LiveKey? {
    switch final {
    case 0x41: return .up
    case 0x42: return .down
    case 0x43: return .right
    case 0x44: return .left
    case 0x46: return .end
    case 0x48: return .home
    case 0x4D: return .enter
    case 0x5A: return .backTab
    case 0x7E:
      switch String(decoding: parameters.prefix { $0 != 0x3B }, as: UTF8.self) {
      case "1", "7": return .home
      case "4", "8": return .end
      case "5": return .pageUp
      case "6": return .pageDown
      default: return nil
      }
    default: return nil
    }
  }
}
