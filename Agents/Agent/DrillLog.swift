import BongsuDelivery
import BongsuModel
import BongsuSampling
import Glibc

/// The witness of a drill: every row is on disk in a file of its own before delivery hears of it, so that afterwards each
/// one can be accounted for whatever was killed in between. `ops/chaos` uses it; no node needs it.
///
/// The file is text and grows over all runs of an agent. A line that was cut off by the end of a process lacks its last
/// word, and the row it began has never left this place.
///
///     start
///     layout 200 1*8 2*8 40*1 ;             milliseconds between ticks; metric number * devices, in row order
///     row 1795000000200 0 55000 - 61000 ;   tick (unix ms), flags (1: the tick may still move), values, - where absent
///
/// Thread rule: that of ``SampleSink``. A witness that cannot write ends the process: a drill without it proves nothing.
final class DrillLog: SampleSink {
  static let option = ArgumentScanner.Option(
    name: "--drill-log", value: "FILE", help: "write every row to FILE, synchronized, before it is delivered")

  private let path: String
  private let file: Int32
  private let next: any SampleSink

  /// Opens the file at `path`; rows go on to `next`.
  init(path: String, next: any SampleSink) throws {
    self.path = path
    self.next = next
    // SAFETY: the path is a zero-terminated string for the length of the call.
    file = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else {
      let reason = unsafe String(cString: strerror(errno))
      throw Invalid(description: "cannot write the drill log \(path): \(reason)")
    }
    // The line break ends what an earlier process may have left unfinished.
    write("\nstart\n")
  }

  deinit { _ = close(file) }

  func layoutChanged(_ layout: RowLayout) {
    let columns = layout.columns.indices.map { "\(layout.columns[$0].id.rawValue)*\(layout.deviceCount(of: $0))" }
    write("layout \(layout.interval.milliseconds) \(columns.joined(separator: " ")) ;\n")
    next.layoutChanged(layout)
  }

  func take(_ stamp: SampleStamp, values: Span<Int64>) {
    var line = "row \(stamp.tick.unixMilliseconds) \(stamp.flags) "
    for index in values.indices {
      if let reading = SampleValue(bits: values[index]).reading { line += "\(reading) " } else { line += "- " }
    }
    line += ";\n"
    write(line)
    next.take(stamp, values: values)
  }

  func report(_ event: SamplingEvent) { next.report(event) }

  private func write(_ text: String) {
    var bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      // SAFETY: the part that is not written yet lies in the array.
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe Glibc.write(file, $0.baseAddress.unsafelyUnwrapped + done, $0.count - done)
      }
      guard count > 0 || errno == EINTR else { fail() }
      done += max(0, count)
    }
    guard fdatasync(file) == 0 else { fail() }
  }

  private func fail() -> Never {
    let reason = unsafe String(cString: strerror(errno))
    AgentLog(level: .error).error("drill", "cannot write \(path): \(reason); the drill proves nothing")
    exit(1)
  }
}
