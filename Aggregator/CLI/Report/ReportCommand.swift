internal import ArgumentParser
internal import BongsuReports
internal import Foundation
internal import NIOCore

struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "A month's account of an allocation or a factory, signed.",
    discussion: """
      GPU-hours granted, reporting, busy and idle, energy, demand, utilization, carbon, with how much of it is known. The
      aggregator signs it; `bongsu report verify` checks a file in json, csv or html against the aggregator's key, without
      asking anybody.

      Example:
        bongsu report --allocation msit/naver-hosted --month 2026-10
        bongsu report --factory naver-sejong --month 2026-10 --format html > account.html
        bongsu report key > report.pub
        bongsu report verify account.html --key report.pub
      """,
    subcommands: [Make.self, Show.self, Verify.self, Key.self], defaultSubcommand: Make.self)

  /// How a report is printed.
  enum Format: String, ExpressibleByArgument, CaseIterable {
    case table
    case csv
    case json
    case html

    func write(_ signed: SignedReport) {
      switch self {
      case .json: StandardOutput.write(signed.document)
      case .csv: StandardOutput.write(ReportText.csv(signed))
      case .html: StandardOutput.write(ReportPage.html(signed))
      case .table:
        let style = TerminalStyle(
          isTerminal: StandardOutput.isTerminal, environment: ProcessInfo.processInfo.environment)
        StandardOutput.print(ReportText.lines(signed, style: style).joined(separator: "\n"))
      }
    }
  }

  struct Make: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "make", abstract: "Ask the aggregator for an account.",
      discussion: """
        Example:
          bongsu report --allocation samsung --month 2026-10
          bongsu report --factory naver-sejong --format html > account.html
        """)

    @Option(help: "Path of the allocation; all below it counts.") var allocation: String?
    @Option(help: "The factory.") var factory: String?
    @Option(help: "The month, such as 2026-10, in the fleet's time zone. (default: the last one that is over)")
    var month: String?
    @Option(help: "How to print it.") var format = Format.table
    @OptionGroup var server: ServerOptions

    func validate() throws {
      guard (allocation == nil) != (factory == nil) else {
        throw ValidationError("give either --allocation PATH or --factory ID")
      }
      if let month, ReportMonth(month) == nil {
        throw ValidationError("--month is \"\(TextTable.withoutControls(month))\"; give a month such as 2026-10")
      }
    }

    func run() async throws {
      let bytes = try await AggregatorClient.with(server) { client in
        var bytes: [UInt8] = []
        try await client.stream(
          "/api/bongsu/v1/report", [("allocation", allocation), ("factory", factory), ("month", month)]
        ) { piece in
          bytes += piece.readableBytesView
          guard bytes.count <= SignedReport.documentBytesMax else {
            throw CommandFailure("the answer of \(client.address) is larger than any report; is it an aggregator?")
          }
        }
        return bytes
      }
      let signed: SignedReport
      do throws(ReportFault) {
        signed = try SignedReport(document: bytes)
        // What arrives damaged is not passed on.
        if let key = ReportKey(signed.signature.key) { try signed.check(signedBy: key) }
      } catch {
        throw CommandFailure("\(error)")
      }
      format.write(signed)
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "show", abstract: "Print a report that lies in a file, whatever its form.",
      discussion: """
        Says nothing of its signature; see `bongsu report verify`.

        Example:
          bongsu report show account.html
          bongsu report show account.json --format csv
        """)

    @Argument(help: "A file in json, csv or html.") var file: String
    @Option(help: "How to print it.") var format = Format.table

    func run() throws {
      do throws(ReportFault) {
        format.write(try ReportFile(try ReportCommand.bytes(of: file)).signed)
      } catch {
        throw CommandFailure("\(file): \(error)")
      }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "verify", abstract: "Check that a report is what the aggregator signed.",
      discussion: """
        Asks nobody. The key is what `bongsu report key` prints at the aggregator, and was handed over by a way that you
        trust; a file of it at \(pinned) is used when none is given.
        Exit status: 0 it is, 1 it is not or cannot be told, 2 wrong usage.

        Example:
          bongsu report verify account.html --key report.pub
          BONGSU_REPORT_KEY=7hZ… bongsu report verify account.json
        """)

    static let pinned = "/etc/bongsu/report.pub"

    @Argument(help: "A file in json, csv or html.") var file: String
    @Option(help: "The aggregator's public key in base64, or a file of it; else BONGSU_REPORT_KEY, else \(pinned).")
    var key: String?

    func run() throws {
      let key = try wanted()
      let report: ReportFile
      do throws(ReportFault) {
        report = try ReportFile(try ReportCommand.bytes(of: file))
        try report.check(signedBy: key)
      } catch {
        throw CommandFailure("\(file): \(error)")
      }
      let subject = report.signed.report.subject
      StandardOutput.print(
        "\(file): account of \(subject.kind.rawValue) \(TextTable.withoutControls(subject.id)) for "
          + "\(TextTable.withoutControls(report.signed.report.month)), intact, signed by \(key.fingerprint)")
    }

    /// The key that the report has to be signed by.
    private func wanted() throws -> ReportKey {
      let environment = ProcessInfo.processInfo.environment["BONGSU_REPORT_KEY"].flatMap { $0.isEmpty ? nil : $0 }
      if let given = key ?? environment {
        if let key = ReportKey(given) { return key }
        guard let text = try? String(contentsOfFile: given, encoding: .utf8) else {
          throw ValidationError(
            "the key \"\(TextTable.withoutControls(given))\" is neither 32 bytes in base64 nor a file; take what `bongsu "
              + "report key` prints")
        }
        guard let key = ReportKey(text) else {
          throw ValidationError("\(given) holds no key; write what `bongsu report key` prints into it")
        }
        return key
      }
      if let key = (try? String(contentsOfFile: Self.pinned, encoding: .utf8)).flatMap({ ReportKey($0) }) { return key }
      throw CommandFailure(
        "no key to check against: anybody could have signed the file; take it from the aggregator by `bongsu report key` "
          + "and give it by --key, BONGSU_REPORT_KEY or \(Self.pinned)")
    }
  }

  struct Key: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "key", abstract: "Print the public key that the aggregator signs reports with.",
      discussion: """
        Example:
          bongsu report key > report.pub
          bongsu report key --format json
        """)

    @Option(help: "How to print it: the key alone, or with its fingerprint.") var format = OutputFormat.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
      let (answer, text) = try await AggregatorClient.with(server) { client in
        try await client.get("/api/bongsu/v1/report/key", as: ReportKeyReport.self)
      }
      switch format {
      case .json: StandardOutput.write(text)
      case .csv:
        StandardOutput.write(
          CSVText.line(["algorithm", "key", "fingerprint"])
            + CSVText.line([answer.algorithm, answer.key, answer.fingerprint]))
      case .table: StandardOutput.print(TextTable.withoutControls(answer.key))
      }
    }
  }

  /// The bytes of a file that may be a report.
  fileprivate static func bytes(of path: String) throws(ReportFault) -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .notAReport("it cannot be read")
    }
    return Array(data)
  }
}
