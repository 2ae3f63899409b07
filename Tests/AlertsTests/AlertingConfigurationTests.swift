import BongsuAlerts
import Foundation
import Testing

@Suite("Alerting file")
struct AlertingConfigurationTests {
  @Test("a full file is read, with defaults for what it leaves out")
  func full() throws {
    let secret = FileManager.default.temporaryDirectory.appending(path: "bongsu-secret-\(UUID().uuidString)")
    try Data("hush\n".utf8).write(to: secret)
    defer { try? FileManager.default.removeItem(at: secret) }
    let read = try AlertingConfiguration.parse(
      """
      external_url: https://bongsu.example.kr/
      external_labels: {site: sejong}
      evaluation_interval: 100ms
      shipped_rules: false
      restart_hold: 30s
      rule_files: [/etc/bongsu/rules/*.yaml]
      alertmanagers:
        - url: http://am-1:9093/
          resend: 30s
          timeout: 2s
          basic_auth: {username: u, password: p}
        - url: https://am-2:9093
          bearer_token: t
          tls: {insecure_skip_verify: true}
      webhooks:
        - {name: pager, url: 'http://pager/x', secret_file: \(secret.path), send_resolved: false}
      commands:
        - {name: lamp, command: [/bin/true, red]}
      """, path: "alerting.yaml"
    ).get()
    #expect(read.externalURL == "https://bongsu.example.kr")
    #expect(read.evaluationIntervalMilliseconds == 100)
    #expect(!read.usesShippedRules && read.restartHoldMilliseconds == 30_000)
    #expect(
      read.receivers.map(\.name) == [
        "alertmanager:http://am-1:9093", "alertmanager:https://am-2:9093", "webhook:pager", "command:lamp",
      ])
    #expect(read.receivers[0].url == "http://am-1:9093/api/v2/alerts")
    #expect(read.receivers[0].queue.resendMilliseconds == 30_000)
    #expect(read.receivers[0].credentials == .basic(user: "u", password: "p"))
    #expect(read.receivers[1].credentials == .bearer("t") && read.receivers[1].tls.skipsVerification)
    #expect(read.receivers[2].secret == "hush" && read.receivers[2].queue.resendMilliseconds == nil)
    #expect(!read.receivers[2].queue.sendsResolved)
    #expect(read.receivers[3].kind == .command(["/bin/true", "red"]))
  }

  @Test(
    "a mistake is refused with its line",
    arguments: [
      ("nonsense: 1", 1), ("external_url: nowhere", 1), ("evaluation_interval: 10ms", 1),
      ("evaluation_interval: soon", 1), ("shipped_rules: perhaps", 1), ("external_labels: {'bad-name': x}", 1),
      ("alertmanagers:\n  - resend: 1m", 2), ("alertmanagers:\n  - url: ftp://x", 2),
      ("alertmanagers:\n  - url: http://u:p@x", 2), ("alertmanagers:\n  - url: http://x\n    resend: 1ms", 3),
      ("alertmanagers:\n  - url: http://x\n    timeout: 1h", 3),
      ("alertmanagers:\n  - url: http://x\n    tls: {ca_file: /nonexistent}", 3),
      ("alertmanagers:\n  - url: http://x\n    unknown: 1", 3),
      ("alertmanagers:\n  - url: http://x\n    basic_auth: {username: u}", 3),
      ("alertmanagers:\n  - url: http://x\n    bearer_token: t\n    basic_auth: {username: u, password: p}", 4),
      ("alertmanagers: http://x", 1), ("webhooks:\n  - name: x", 2),
      ("webhooks:\n  - url: http://x\n    secret_file: /nonexistent", 3),
      ("commands:\n  - command: [lamp]", 2), ("commands:\n  - command: [/nonexistent/lamp]", 2),
      ("- a list", 1),
    ])
  func refuses(text: String, line: Int) {
    guard case .failure(let failures) = AlertingConfiguration.parse(text, path: "alerting.yaml") else {
      Issue.record("accepted: \(text)")
      return
    }
    #expect(failures.failures.contains { $0.line == line }, "\(failures)")
  }

  @Test("all mistakes are told together, and a receiver that is there twice is one")
  func together() {
    let text = "evaluation_interval: 1ms\nalertmanagers:\n  - url: http://x\n  - url: http://x\n  - url: bad\n"
    guard case .failure(let failures) = AlertingConfiguration.parse(text, path: "a.yaml") else {
      Issue.record("accepted")
      return
    }
    #expect(failures.failures.count == 3)
  }

  @Test("options add Alertmanagers and refuse what is no address")
  func options() {
    var configuration = AlertingConfiguration()
    let problems = [["http://a:1", "http://b:1"], ["nope"], ["http://a:1"]].map { configuration.addAlertmanagers($0) }
    #expect(problems[0] == nil)
    #expect(problems[1]?.contains("nope") == true)
    #expect(problems[2]?.contains("twice") == true)
  }
}
