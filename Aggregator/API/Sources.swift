public import BongsuAlerts
public import BongsuReports
public import BongsuSeries

// The seam between the HTTP API and the daemon: the API asks, the daemon answers from its shards, journal and registry.
// Every method may be called from any task at any time, many at once, and answers within a second or throws. A refusal
// that the asker can mend is thrown as `APIError`; any other error is answered with 500 and logged, its text kept from
// the asker.

/// What is true now: live state of the aggregator and of what it watches.
public protocol LiveSource: Sendable {
  /// Whether requests should be sent here. Asked often; must not wait for anything.
  func readyState() -> ReadyState

  /// How the aggregator is doing.
  func status() async throws -> StatusReport

  /// The rows of `request.level` that `request.filter` leaves, at the newest tick that all of them have closed.
  ///
  /// The API sorts and cuts; a source with many rows may pass them through a ``BongsuReports/TopPicker`` itself and say
  /// how many there were. A filter cuts the figures too: factories filtered by an allocation carry that allocation's
  /// share only, and so does `scope`: what lies outside of it is neither listed nor part of any figure. Throws
  /// ``APIError/unknownName(_:_:known:)`` for a name that the fleet does not have.
  func topRows(for request: TopRequest, within scope: AccessScope) async throws -> TopRows

  /// The nodes that `filter` leaves, in any order.
  func nodes(matching filter: NodeFilter) async throws -> [NodeReport]

  /// One node, `nil` when neither the fleet file nor the registry knows it.
  func node(named name: String) async throws -> NodeReport?
}

/// Who asked for a change; goes into the audit log.
public struct Operator: Hashable, Sendable {
  /// Address that the request came from.
  public var address: String
  /// How it proved its right: `loopback`, `admin-token`, or `token NAME`.
  public var credential: String
  /// Name of the token, if there was one that is kept here.
  public var tokenName: String?
  public var role: AccessRole
  /// The part of the nation that may be seen.
  public var scope: AccessScope

  /// Somebody at `address`, in full rights unless a role and a scope say otherwise.
  public init(
    address: String, credential: String, tokenName: String? = nil, role: AccessRole = .admin,
    scope: AccessScope = .unlimited
  ) {
    self.address = address
    self.credential = credential
    self.tokenName = tokenName
    self.role = role
    self.scope = scope
  }
}

/// Who may join, and who may stay.
public protocol EnrolmentControl: Sendable {
  /// Makes `request.count` join tokens. The API has checked the request's bounds.
  func createJoinTokens(_ request: JoinTokenRequest, by person: Operator) async throws -> [CreatedJoinToken]

  /// All join tokens that are kept, spent and expired ones included.
  func joinTokens() async throws -> [JoinTokenReport]

  /// Closes a token; closing one twice is no error. `nil` when there is none of this id.
  func revokeJoinToken(_ id: String, by person: Operator) async throws -> JoinTokenReport?

  /// Cuts a node off at once and refuses its key from now on. `nil` when there is no node of this name.
  func revokeNode(_ name: String, by person: Operator) async throws -> NodeReport?
}

/// A run of samples of one series, in order of ticks.
public struct ExportedSeries: Sendable {
  /// How the metric behaves, for the `# TYPE` line.
  public enum Kind: String, Sendable {
    case gauge
    case counter
    case unknown
  }

  /// One value at one tick.
  public struct Sample: Hashable, Sendable {
    /// Milliseconds since 1970.
    public var unixMilliseconds: Int64
    /// In the exposed unit.
    public var value: Double

    /// The value `value`, in the exposed unit, at a tick.
    public init(unixMilliseconds: Int64, value: Double) {
      self.unixMilliseconds = unixMilliseconds
      self.value = value
    }
  }

  /// Name of the series, such as `bongsu_gpu_power_watts`.
  public var name: String
  public var kind: Kind
  /// Labels without the name, in order of names.
  public var labels: [(name: String, value: String)]
  public var samples: [Sample]

  /// A run of samples; labels and samples are in order already.
  public init(name: String, kind: Kind, labels: [(name: String, value: String)], samples: [Sample]) {
    self.name = name
    self.kind = kind
    self.labels = labels
    self.samples = samples
  }
}

/// Stored samples for export.
public protocol ExportSource: Sendable {
  /// Calls `body` with runs of samples: all series of one name come together, all runs of one series come one after the
  /// other in order of time, as OpenMetrics asks. Memory stays bounded by the run's size, which the source chooses. `body`
  /// suspends while the asker reads slowly and throws when it hung up; the error is passed on.
  func export(_ request: ExportRequest, to body: (ExportedSeries) async throws -> Void) async throws
}

/// Gap records.
public protocol GapSource: Sendable {
  /// The records that `request` asks for, of nodes within `scope`, in order of time. Throws
  /// ``APIError/unknownName(_:_:known:)`` for a name that the fleet does not have.
  func gaps(_ request: GapRequest, within scope: AccessScope) async throws -> GapList
}

/// Stored history: what it takes on disk, and the ledger of allocations.
public protocol HistorySource: Sendable {
  /// Bytes by kind of data, and for how long the disk lasts.
  func storage() async throws -> StorageReport

  /// GPU-hours and energy of allocations within `scope`. Throws ``APIError/unknownName(_:_:known:)`` for a name that the
  /// fleet does not have.
  func ledger(_ request: LedgerRequest, within scope: AccessScope) async throws -> LedgerReport
}

/// What is done with the fleet file while the aggregator runs.
public protocol FleetControl: Sendable {
  /// Has stored rollups formed anew by the present fleet file, and an entry made in the audit log. Throws ``APIError`` of
  /// `bad_parameter` for an instant that cannot be read, is yet to come or too long ago, and when nothing would change.
  func restate(_ request: RestateRequest, by person: Operator) async throws -> RestateReport
}

/// All data in one stream.
public protocol BackupSource: Sendable {
  /// Hands a copy of the whole data directory to `body`, piece by piece, in the form of `bongsu backup`; `body` suspends while
  /// the asker reads slowly and throws when it hung up. A copy that fails ends before its end, which the form shows.
  func backup(to body: ([UInt8]) async throws -> Void) async throws
}

/// Signed accounts of a month.
public protocol ReportSource: Sendable {
  /// The key by which reports are signed.
  var key: ReportKey { get }

  /// The account that is asked for. Throws ``APIError/unknownName(_:_:known:)`` for a name that the fleet does not have or
  /// `scope` does not hold as a whole, and of `bad_parameter` for a month that has not begun.
  func report(_ request: UsageReportRequest, within scope: AccessScope) async throws -> SignedReport
}

/// Everything that the API can be asked for. What is `nil` is answered with `not_available`.
public struct APISources: Sendable {
  public var live: any LiveSource
  public var enrolment: (any EnrolmentControl)?
  public var export: (any ExportSource)?
  public var gaps: (any GapSource)?
  /// The tokens that people and programs come with.
  public var tokens: (any AccessTokenControl)?
  public var history: (any HistorySource)?
  public var fleet: (any FleetControl)?
  public var reports: (any ReportSource)?
  public var backup: (any BackupSource)?
  /// What the Prometheus API under `/api/v1/` reads.
  public var series: (any SeriesSource)?
  /// Rules and alerts.
  public var alerts: AlertRunner?
  /// What the web page watches.
  public var page: (any PageSource)?
  /// What it tells of metrics; asked at every request, since metrics may come later.
  public var metadata: @Sendable () -> [MetricMetadata]

  /// What is there; `metadata` is kept as it is written and evaluated at every request.
  public init(
    live: any LiveSource, enrolment: (any EnrolmentControl)? = nil, export: (any ExportSource)? = nil,
    gaps: (any GapSource)? = nil, tokens: (any AccessTokenControl)? = nil, history: (any HistorySource)? = nil,
    fleet: (any FleetControl)? = nil, reports: (any ReportSource)? = nil, backup: (any BackupSource)? = nil,
    series: (any SeriesSource)? = nil, alerts: AlertRunner? = nil, page: (any PageSource)? = nil,
    metadata: @escaping @autoclosure @Sendable () -> [MetricMetadata] = []
  ) {
    self.live = live
    self.enrolment = enrolment
    self.export = export
    self.gaps = gaps
    self.tokens = tokens
    self.history = history
    self.fleet = fleet
    self.reports = reports
    self.backup = backup
    self.series = series
    self.alerts = alerts
    self.page = page
    self.metadata = metadata
  }
}
