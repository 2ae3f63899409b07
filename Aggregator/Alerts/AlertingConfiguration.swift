internal import BongsuQuery
public import BongsuSeries
internal import Foundation
internal import Yams

/// Which rules are evaluated and who is told: an alerting file, and what the command line adds.
///
///     external_url: https://bongsu.example.kr
///     external_labels: {site: sejong}
///     evaluation_interval: 1s          # of groups that name none
///     shipped_rules: true              # the power rules that come with Bongsu
///     restart_hold: 120s               # how long a start waits for agents before coverage and loss rules run
///     rule_files: [/etc/bongsu/rules/*.yaml]
///     alertmanagers:
///       - url: https://am-1.example.kr:9093
///         resend: 1m
///         timeout: 10s
///         basic_auth: {username: bongsu, password_file: /etc/bongsu/am-password}
///         tls: {ca_file: /etc/bongsu/ca.pem}
///     webhooks:
///       - name: pager
///         url: https://pager.example.kr/bongsu
///         secret_file: /etc/bongsu/pager-secret
///     commands:
///       - name: lamp
///         command: [/usr/local/bin/lamp, red]
public struct AlertingConfiguration: Sendable {
  public var externalURL = ""
  public var externalLabels: [Label] = []
  public var evaluationIntervalMilliseconds: Int64 = 1000
  public var usesShippedRules = true
  public var restartHoldMilliseconds: Int64 = 120_000
  /// Patterns of rule files, absolute or relative to the working directory.
  public var ruleFiles: [String] = []
  public var receivers: [ReceiverSettings] = []

  public init() {}

  /// Reads an alerting file. All mistakes are reported together, with their lines.
  public static func load(_ path: String) -> Result<AlertingConfiguration, RuleFileFailures> {
    do throws(FileFailure) {
      return parse(try RuleFileLoader.read(path), path: path)
    } catch {
      return .failure(RuleFileFailures(failures: [error]))
    }
  }

  /// Reads the text of an alerting file.
  public static func parse(_ text: String, path: String) -> Result<AlertingConfiguration, RuleFileFailures> {
    var reader = AlertingFileReader(path: path)
    return reader.read(text)
  }

  /// Adds Alertmanagers of the command line. Returns why an address cannot be used.
  public mutating func addAlertmanagers(_ urls: [String]) -> String? {
    for url in urls {
      if let problem = AlertingFileReader.problem(ofURL: url) { return "--alertmanager is '\(url)': \(problem)" }
      receivers.append(.alertmanager(url))
    }
    return duplicateReceiver.map { "'\($0)' is named twice among the receivers of alerts" }
  }

  /// A receiver that is there twice.
  var duplicateReceiver: String? {
    var names: Set<String> = []
    return receivers.first { !names.insert($0.name).inserted }?.name
  }
}

/// Reads alerting files and collects what is wrong with them.
private struct AlertingFileReader {
  let path: String
  private var failures: [FileFailure] = []
  private var result = AlertingConfiguration()

  init(path: String) { self.path = path }

  mutating func read(_ text: String) -> Result<AlertingConfiguration, RuleFileFailures> {
    collect { reader throws(FileFailure) in
      let root = try YAMLMap.document(
        text, file: reader.path,
        allowing: [
          "external_url", "external_labels", "evaluation_interval", "shipped_rules", "restart_hold", "rule_files",
          "alertmanagers", "webhooks", "commands",
        ])
      reader.readGlobals(root)
      for node in reader.list(root, "alertmanagers") {
        reader.collect { reader throws(FileFailure) in
          try reader.readAlertmanager(
            YAMLMap(
              node, file: reader.path,
              allowing: ["url", "resend", "timeout", "basic_auth", "bearer_token", "bearer_token_file", "tls"],
              of: "an Alertmanager"))
        }
      }
      for node in reader.list(root, "webhooks") {
        reader.collect { reader throws(FileFailure) in
          try reader.readWebhook(
            YAMLMap(
              node, file: reader.path,
              allowing: [
                "name", "url", "resend", "timeout", "send_resolved", "secret", "secret_file", "basic_auth",
                "bearer_token", "bearer_token_file", "tls",
              ], of: "a webhook"))
        }
      }
      for node in reader.list(root, "commands") {
        reader.collect { reader throws(FileFailure) in
          try reader.readCommand(
            YAMLMap(
              node, file: reader.path, allowing: ["name", "command", "timeout", "send_resolved"], of: "a command"))
        }
      }
      if let name = reader.result.duplicateReceiver {
        reader.failures.append(root.failure(nil, "receiver '\(name)' is there twice; give each a name of its own"))
      }
      if reader.result.receivers.count > AlertLimits.receiversMax {
        reader.failures.append(
          root.failure(
            nil, "\(reader.result.receivers.count) receivers, at most \(AlertLimits.receiversMax) are accepted"))
      }
    }
    return failures.isEmpty ? .success(result) : .failure(RuleFileFailures(failures: failures))
  }

  private mutating func collect(_ body: (inout AlertingFileReader) throws(FileFailure) -> Void) {
    do throws(FileFailure) { try body(&self) } catch { failures.append(error) }
  }

  private mutating func list(_ map: YAMLMap, _ key: String) -> [Yams.Node] {
    do throws(FileFailure) { return try map.list(key) } catch {
      failures.append(error)
      return []
    }
  }

  private mutating func readGlobals(_ root: YAMLMap) {
    collect { reader throws(FileFailure) in
      guard let url = try root.text("external_url") else { return }
      if let problem = Self.problem(ofURL: url) { throw root.failure("external_url", "external_url: \(problem)") }
      reader.result.externalURL = url.hasSuffix("/") ? String(url.dropLast()) : url
    }
    collect { reader throws(FileFailure) in
      for (name, value) in try root.pairs("external_labels") {
        guard LabelName.isValid(name), name != Label.metricName else {
          throw root.failure("external_labels", "invalid label name: \(name)")
        }
        reader.result.externalLabels.append(Label(name: name, value: value))
      }
    }
    collect { reader throws(FileFailure) in
      guard let interval = try root.duration("evaluation_interval") else { return }
      guard interval >= AlertLimits.intervalMillisecondsMin else {
        throw root.failure(
          "evaluation_interval",
          "evaluation_interval is \(interval) ms, at least \(AlertLimits.intervalMillisecondsMin) ms")
      }
      reader.result.evaluationIntervalMilliseconds = interval
    }
    collect { reader throws(FileFailure) in
      reader.result.usesShippedRules = try root.boolean("shipped_rules") ?? true
    }
    collect { reader throws(FileFailure) in
      reader.result.restartHoldMilliseconds = try root.duration("restart_hold") ?? 120_000
    }
    collect { reader throws(FileFailure) in reader.result.ruleFiles = try root.texts("rule_files") }
  }

  private mutating func readAlertmanager(_ map: YAMLMap) throws(FileFailure) {
    let url = try Self.url(of: map)
    var receiver = ReceiverSettings.alertmanager(url)
    if let resend = try map.duration("resend") {
      guard (1000...3_600_000).contains(resend) else {
        throw map.failure("resend", "resend is \(resend) ms, expected 1s to 1h")
      }
      receiver.queue.resendMilliseconds = resend
    }
    try readHTTP(map, &receiver)
    result.receivers.append(receiver)
  }

  private mutating func readWebhook(_ map: YAMLMap) throws(FileFailure) {
    let url = try Self.url(of: map)
    let name = try map.text("name") ?? url
    var receiver = ReceiverSettings(name: "webhook:\(name)", kind: .webhook, url: url)
    if let resend = try map.duration("resend"), resend > 0 {
      guard resend >= 1000 else { throw map.failure("resend", "resend is \(resend) ms, expected at least 1s") }
      receiver.queue.resendMilliseconds = resend
    }
    receiver.queue.sendsResolved = try map.boolean("send_resolved") ?? true
    receiver.secret = try Self.secret(of: map, "secret")
    try readHTTP(map, &receiver)
    result.receivers.append(receiver)
  }

  private mutating func readCommand(_ map: YAMLMap) throws(FileFailure) {
    let words = try map.texts("command")
    guard let program = words.first, program.hasPrefix("/") else {
      throw map.failure("command", "command must be a list that begins with the absolute path of a program")
    }
    guard FileManager.default.isExecutableFile(atPath: program) else {
      throw map.failure("command", "\(program) is no program that can be run")
    }
    var receiver = ReceiverSettings(name: "command:\(try map.text("name") ?? program)", kind: .command(words), url: "")
    receiver.queue.sendsResolved = try map.boolean("send_resolved") ?? true
    receiver.timeoutMilliseconds = try Self.timeout(of: map)
    result.receivers.append(receiver)
  }

  private func readHTTP(_ map: YAMLMap, _ receiver: inout ReceiverSettings) throws(FileFailure) {
    receiver.timeoutMilliseconds = try Self.timeout(of: map)
    let token = try Self.secret(of: map, "bearer_token")
    let basic = try map.map("basic_auth", allowing: ["username", "password", "password_file"])
    if token != nil, basic != nil {
      throw map.failure("basic_auth", "only one of basic_auth and bearer_token may be given")
    }
    if let token { receiver.credentials = .bearer(token) }
    if let basic {
      guard let user = try basic.text("username"), let password = try Self.secret(of: basic, "password") else {
        throw map.failure("basic_auth", "basic_auth needs a username, and a password or password_file")
      }
      receiver.credentials = .basic(user: user, password: password)
    }
    guard let tls = try map.map("tls", allowing: ["ca_file", "cert_file", "key_file", "insecure_skip_verify"]) else {
      return
    }
    receiver.tls.authorityFile = try Self.readable("ca_file", of: tls)
    receiver.tls.certificateFile = try Self.readable("cert_file", of: tls)
    receiver.tls.keyFile = try Self.readable("key_file", of: tls)
    receiver.tls.skipsVerification = try tls.boolean("insecure_skip_verify") ?? false
    if (receiver.tls.certificateFile == nil) != (receiver.tls.keyFile == nil) {
      throw map.failure("tls", "cert_file and key_file go together")
    }
  }

  private static func timeout(of map: YAMLMap) throws(FileFailure) -> Int64 {
    let timeout = try map.duration("timeout") ?? 10_000
    guard (100...300_000).contains(timeout) else {
      throw map.failure("timeout", "timeout is \(timeout) ms, expected 100ms to 5m")
    }
    return timeout
  }

  private static func url(of map: YAMLMap) throws(FileFailure) -> String {
    guard let url = try map.text("url") else { throw map.failure(nil, "url is missing") }
    if let problem = problem(ofURL: url) { throw map.failure("url", "url: \(problem)") }
    return url
  }

  /// A secret given in the file or in a file of its own, without the line's end.
  private static func secret(of map: YAMLMap, _ key: String) throws(FileFailure) -> String? {
    let given = try map.text(key)
    guard let path = try readable("\(key)_file", of: map) else { return given }
    guard given == nil else { throw map.failure(key, "only one of \(key) and \(key)_file may be given") }
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw map.failure("\(key)_file", "\(path) is not text")
    }
    let secret = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !secret.isEmpty else { throw map.failure("\(key)_file", "\(path) is empty") }
    return secret
  }

  private static func readable(_ key: String, of map: YAMLMap) throws(FileFailure) -> String? {
    guard let path = try map.text(key) else { return nil }
    guard FileManager.default.isReadableFile(atPath: path) else {
      throw map.failure(key, "\(key): cannot read \(path)")
    }
    return path
  }

  static func problem(ofURL text: String) -> String? {
    guard let parts = URLComponents(string: text), let scheme = parts.scheme, ["http", "https"].contains(scheme),
      let host = parts.host, !host.isEmpty
    else { return "'\(text)' is no address such as http://host:9093" }
    return parts.user == nil ? nil : "credentials do not belong into an address; use basic_auth"
  }
}
