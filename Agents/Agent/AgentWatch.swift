import BongsuDelivery
import BongsuProcess
import CBongsuPlatform
import Glibc

/// What the main thread does while the others work: signals, the control socket, the service manager.
struct AgentWatch: ~Copyable {
  private var configuration: AgentConfiguration
  private let arguments: ArgumentScanner
  private let control: AgentControl
  private let uplink: Uplink
  private let log: AgentLog
  private let notifier = ServiceNotifier()
  private let socket: ControlSocket?
  private let started: Settings
  private var said = ""
  private var codePages = CodePages()

  /// Without sign of life from sampler or uplink for this long the service manager is not told that all is well.
  private static let stuckSecondsMax = 120
  /// Longest pause between two looks around, milliseconds.
  private static let pauseMillisecondsMax = 10_000

  init(
    _ configuration: AgentConfiguration, _ arguments: ArgumentScanner, control: AgentControl, uplink: Uplink,
    log: AgentLog
  ) {
    self.configuration = configuration
    started = configuration.settings
    self.arguments = arguments
    self.control = control
    self.uplink = uplink
    self.log = log
    socket = Self.open(configuration.controlPath, log)
    notifier.ready("starting")
  }

  /// A node without a place for the socket still gets its agent.
  private static func open(_ path: String?, _ log: AgentLog) -> ControlSocket? {
    guard let path else { return nil }
    do throws(ControlSocket.Failure) {
      return try ControlSocket(path: path)
    } catch {
      log.info("agent", "no bongsu-agent ctl on this machine: \(error)")
      return nil
    }
  }

  /// Waits for what comes next and handles it.
  ///
  /// - Returns: `false` when the agent is to end.
  mutating func turn(_ signals: borrowing SignalWait) -> Bool {
    codePages.release(at: time(nil))
    if uplink.secondsStuck < Self.stuckSecondsMax { notifier.alive() }
    let summary = control.summary
    if summary != said {
      notifier.status(summary)
      said = summary
    }
    switch signals.wait(milliseconds: pause, listener: socket?.descriptor ?? -1) {
    case .stop:
      notifier.stopping("what is not acknowledged goes to the spool")
      return false
    case .reload: reload()
    case .connection: socket?.serve { control.answer($0) }
    case .timeout: break
    }
    return true
  }

  private var pause: Int {
    guard let seconds = notifier.aliveSecondsMax else { return Self.pauseMillisecondsMax }
    return max(100, min(Self.pauseMillisecondsMax, Int(seconds * 1000)))
  }

  /// Takes from the settings what a running agent can take, and says what it cannot.
  private mutating func reload() {
    notifier.reloading()
    defer { notifier.ready(control.summary) }
    let fresh: AgentConfiguration
    do {
      fresh = try AgentConfiguration(arguments)
    } catch {
      log.error("config", "the settings are left as they were: \(error)")
      return
    }
    for warning in fresh.settings.warnings { log.warning("config", warning) }
    // What takes a restart is compared with the start, so that it is said again until there was one.
    let changes = AgentConfiguration.keys.filter { key in
      let before = key.reloads ? configuration.settings : started
      return !fresh.settings.changes(since: before, keys: [key]).isEmpty
    }
    for key in changes {
      guard key.reloads else {
        log.warning("config", "\(key.name) has changed (\(fresh.settings.origin(key.name))); it takes a restart")
        continue
      }
      log.info("config", "\(key.name) is \(fresh.settings.values(key.name).joined(separator: ", ")) now")
    }
    if changes.isEmpty { log.info("config", "the settings are as they were") }
    log.setLevel(fresh.logLevel)
    if fresh.endpoints != configuration.endpoints { uplink.change(endpoints: fresh.endpoints) }
    configuration = fresh
  }
}

/// Lets the pages of code go that only start-up and rare events use: they are read from the file again should they be
/// needed. Most of the program and its libraries is never run after the first seconds.
private struct CodePages {
  private let started = time(nil)
  private var nextRelease: time_t

  private static let firstSeconds = 10
  private static let everySeconds = 600

  init() { nextRelease = started + Self.firstSeconds }

  mutating func release(at now: time_t) {
    guard now >= nextRelease || now < started else { return }
    nextRelease = now + Self.everySeconds
    _ = bongsu_release_code_pages()
  }
}
