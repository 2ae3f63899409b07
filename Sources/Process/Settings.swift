internal import Glibc

/// A daemon's settings: what the command line says wins over the environment, the environment over the file.
public struct Settings: Hashable, Sendable {
  /// Where values may come from besides the command line.
  public struct Origins: Sendable {
    /// What environment variables of the daemon begin with, such as `BONGSU_AGENT_`.
    public var variablePrefix: String
    /// The file that is read if it is there and none is named.
    public var defaultFile: String

    public init(variablePrefix: String, defaultFile: String) {
      self.variablePrefix = variablePrefix
      self.defaultFile = defaultFile
    }
  }

  private struct Given: Hashable {
    var values: [String]
    var origin: String
  }

  private var given: [String: Given] = [:]
  /// The file that was read; `nil` when there is none.
  public private(set) var file: String?
  /// What is understood and should be changed, one line each.
  public private(set) var warnings: [String] = []

  /// Puts the three together.
  ///
  /// - Parameters:
  ///   - options: values of the command line by name without dashes; flags have one value, `true`.
  ///   - file: what `--config` names.
  ///   - variables: all environment variables.
  ///   - warnings: what is to be said of the command line.
  public init(
    keys: [SettingKey], options: [String: [String]], file named: String?, origins: Origins,
    variables: [String: String] = Settings.environment(), warnings: [String] = []
  ) throws(SettingsError) {
    self.warnings = warnings
    let path = named ?? variables[origins.variablePrefix + "CONFIG"]
    if let file = try Self.read(path ?? origins.defaultFile, isWanted: path != nil, keys: keys) {
      self.file = path ?? origins.defaultFile
      self.warnings += file.warnings
      for (name, entries) in file.entries {
        given[name] = Given(values: entries.map(\.value), origin: "\(self.file ?? ""):\(entries[0].line)")
      }
    }
    try takeVariables(variables, keys, origins.variablePrefix)
    for (name, values) in options { given[name] = Given(values: values, origin: "--\(name)") }
  }

  private mutating func takeVariables(
    _ variables: [String: String], _ keys: [SettingKey], _ prefix: String
  ) throws(SettingsError) {
    var problems: [String] = []
    for key in keys {
      var name = key.variable(prefix)
      if variables[name, default: ""].isEmpty,
        let former = key.formerVariables(prefix).first(where: { !variables[$0, default: ""].isEmpty })
      {
        warnings.append("the environment variable \(former) is called \(name) now; the old name is still understood")
        name = former
      }
      guard let text = variables[name], !text.isEmpty else { continue }
      if key.isFlag, text != "true", text != "false" {
        problems.append("\(name) is '\(text)', expected true or false")
      }
      let values = key.repeats ? text.split { $0.isWhitespace || $0 == ";" }.map(String.init) : [text]
      given[key.name] = Given(values: values, origin: name)
    }
    let known = Set(keys.flatMap { [$0.variable(prefix)] + $0.formerVariables(prefix) } + [prefix + "CONFIG"])
    for name in variables.keys.sorted() where name.hasPrefix(prefix) && !known.contains(name) {
      warnings.append("the environment variable \(name) means nothing here and is ignored")
    }
    guard problems.isEmpty else { throw SettingsError(problems) }
  }

  /// The last value of a setting; `nil` when nothing was said.
  public func value(_ name: String) -> String? { given[name]?.values.last }

  /// All values of a setting that repeats.
  public func values(_ name: String) -> [String] { given[name]?.values ?? [] }

  /// Whether a flag was set.
  public func isSet(_ name: String) -> Bool { value(name) == "true" }

  /// Where a value comes from, for messages: `FILE:LINE`, `--option` or a variable; the bare name when nothing was said.
  public func origin(_ name: String) -> String { given[name]?.origin ?? name }

  /// Which keys have other values than in `before`, in the order of `keys`.
  public func changes(since before: Settings, keys: [SettingKey]) -> [SettingKey] {
    keys.filter { given[$0.name]?.values != before.given[$0.name]?.values }
  }

  // MARK: The world outside

  private static func read(
    _ path: String, isWanted: Bool, keys: [SettingKey]
  ) throws(SettingsError) -> SettingsFile? {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      if !isWanted, errno == ENOENT || errno == ENOTDIR { return nil }
      throw SettingsError(["cannot read the settings in \(path): \(reason(errno))"])
    }
    defer { _ = close(file) }
    guard let bytes = contents(of: file, limit: SettingsFile.bytesMax) else {
      throw SettingsError(["cannot read the settings in \(path): \(reason(errno == 0 ? EFBIG : errno))"])
    }
    return try SettingsFile(parsing: String(decoding: bytes, as: UTF8.self), path: path, keys: keys)
  }

  /// The environment as this process was started with it.
  public static func environment() -> [String: String] {
    let file = unsafe open("/proc/self/environ", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [:] }
    defer { _ = close(file) }
    var variables: [String: String] = [:]
    for line in (contents(of: file, limit: 1 << 22) ?? []).split(separator: 0) {
      guard let equals = line.firstIndex(of: 0x3D) else { continue }
      variables[String(decoding: line[..<equals], as: UTF8.self)] =
        String(decoding: line[(equals + 1)...], as: UTF8.self)
    }
    return variables
  }

  /// All bytes of `file`; `nil` when it cannot be read, or (with `errno` 0) is longer than `limit`.
  private static func contents(of file: Int32, limit: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      // SAFETY: the call writes at most as many bytes as the buffer has.
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
      guard count >= 0 else { return nil }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<count])
      guard bytes.count <= limit else {
        errno = 0
        return nil
      }
    }
  }

  private static func reason(_ code: Int32) -> String {
    // SAFETY: strerror returns a valid C string for every code.
    unsafe String(cString: strerror(code))
  }
}
