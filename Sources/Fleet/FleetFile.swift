import Glibc

/// How a fleet file is read.
public struct FleetOptions: Hashable, Sendable {
  /// Treats every hall as in service since ever, planned ones included, so that a demonstration of the whole plan has
  /// something to expect. Never for a real site: it makes GPUs that do not exist yet count as missing.
  public var demoInService: Bool

  public init(demoInService: Bool = false) {
    self.demoInService = demoInService
  }
}

/// A fleet file that was read and checked: all findings, and the tree when there is no error among them.
public struct FleetFile: Sendable {
  /// The file as the caller named it.
  public let path: String
  /// In file order. Warnings may be there beside a usable tree.
  public let findings: [FleetFinding]
  /// What was read; empty when the file could not be.
  public let text: String
  /// The validated fleet, `nil` when a finding is an error.
  public let tree: FleetTree?

  /// Why no usable tree came out, for callers that want a thrown error.
  public struct Unusable: Error, Sendable, CustomStringConvertible {
    public let path: String
    public let findings: [FleetFinding]

    /// One finding per line.
    public var description: String { findings.map(\.description).joined(separator: "\n") }
  }

  /// Checks the text of a fleet file; `path` is for messages only. Takes time with the number of nodes: the national
  /// plan of 55,000 nodes in a tenth of a second.
  public init(text: String, path: String, options: FleetOptions = FleetOptions()) {
    self.path = path
    self.text = text
    let collector = FindingCollector(file: path)
    var parser = FleetParser(findings: collector)
    if let document = parser.parse(text) {
      var builder = FleetBuilder(document, options: options, findings: collector)
      tree = builder.build()
    } else {
      tree = nil
    }
    findings = collector.sortedFindings
  }

  /// Reads and checks the file at `path`. A file that cannot be read is a finding like any other.
  public init(path: String, options: FleetOptions = FleetOptions()) {
    switch Self.contents(of: path) {
    case .success(let text): self.init(text: text, path: path, options: options)
    case .failure(let finding):
      self.init(path: path, findings: [finding], tree: nil)
    }
  }

  private init(path: String, findings: [FleetFinding], tree: FleetTree?) {
    self.path = path
    text = ""
    self.findings = findings
    self.tree = tree
  }

  /// The tree; throws ``Unusable`` with all findings when there is none.
  public func usableTree() throws(Unusable) -> FleetTree {
    guard let tree else { throw Unusable(path: path, findings: findings) }
    return tree
  }

  private static func contents(of path: String) -> Result<String, FleetFinding> {
    func failure(_ problem: String, _ remedy: String) -> Result<String, FleetFinding> {
      .failure(
        FleetFinding(severity: .error, file: path, line: 0, column: 0, message: problem, remedy: remedy))
    }
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      // SAFETY: strerror's text is copied before any other call can change it.
      let reason = unsafe String(cString: strerror(errno))
      return failure("cannot open the fleet file: \(reason)", "name an existing file that this user may read")
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while bytes.count <= Limits.fileBytesMax {
      // SAFETY: the buffer holds as many bytes as read() is told.
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        // SAFETY: strerror's text is copied before any other call can change it.
        let reason = unsafe String(cString: strerror(errno))
        return failure("cannot read the fleet file: \(reason)", "name a regular file")
      }
      guard count > 0 else { break }
      bytes.append(contentsOf: chunk[..<count])
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      return failure("fleet file is not UTF-8", "save it as UTF-8")
    }
    return .success(text)
  }
}
