// swift-tools-version: 6.2
import PackageDescription

// ARCHITECTURE.md draws the arrows between these modules; Tests/RepositoryTests keeps them.

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

func module(
  _ name: String, _ path: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []
) -> Target {
  .target(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: strict)
}

func program(_ name: String, _ path: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource]? = nil
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, resources: resources,
    swiftSettings: strict)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let hummingbirdTLS = Target.Dependency.product(name: "HummingbirdTLS", package: "hummingbird")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let nioFoundation = Target.Dependency.product(name: "NIOFoundationCompat", package: "swift-nio")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
  name: "bongsu",
  // What Tests/Performance and Tests/Fuzz build upon; the product is the executables.
  products: ["CBongsuPlatform", "BongsuCodec", "BongsuFleet", "BongsuModel", "BongsuRing", "BongsuRollup"].map {
    .library(name: $0, targets: [$0])
  },
  dependencies: [
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // Sources: what both sides share.
    .systemLibrary(name: "CLZ4", path: "Sources/CLZ4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZlib", path: "Sources/CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZeroMQ", path: "Sources/CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    .systemLibrary(name: "CSodium", path: "Sources/CSodium", providers: [.apt(["libsodium-dev"])]),
    .target(name: "CBongsuChecksum", path: "Sources/CBongsuChecksum"),
    .target(name: "CBongsuPlatform", path: "Sources/CBongsuPlatform"),
    .target(name: "CBongsuTerminal", path: "Sources/CBongsuTerminal"),
    module("BongsuModel", "Sources/Model"),
    module("BongsuFleet", "Sources/Fleet", ["BongsuModel", yams]),
    module("BongsuCodec", "Sources/Codec", ["BongsuModel", "CLZ4"], exclude: ["FORMAT.md"]),
    module("BongsuWire", "Sources/Wire", ["BongsuCodec", "BongsuModel"], exclude: ["FORMAT.md"]),
    module("BongsuTransport", "Sources/Transport", ["CZeroMQ", "CBongsuPlatform"]),
    module("BongsuRecordLog", "Sources/RecordLog", ["CBongsuChecksum"], exclude: ["FORMAT.md"]),
    module(
      "BongsuEnrolment", "Sources/Enrolment", ["BongsuModel", "BongsuRecordLog", "BongsuTransport"],
      exclude: ["FORMAT.md"]),
    module("BongsuSeries", "Sources/Series"),
    module("BongsuMetrics", "Sources/Metrics"),
    module("BongsuProcess", "Sources/Process"),

    // Agents: what runs on nodes.
    module("BongsuDevices", "Agents/Devices", ["BongsuModel", "CBongsuPlatform"]),
    module("BongsuSampling", "Agents/Sampling", ["BongsuDevices", "BongsuModel", "CBongsuPlatform"]),
    module(
      "BongsuSpool", "Agents/Spool", ["BongsuCodec", "BongsuModel", "BongsuRecordLog", "BongsuWire"],
      exclude: ["FORMAT.md"]),
    module(
      "BongsuDelivery", "Agents/Delivery",
      [
        "BongsuEnrolment", "BongsuModel", "BongsuRecordLog", "BongsuSpool", "BongsuTransport", "BongsuWire",
        "CBongsuPlatform",
      ]),
    program(
      "bongsu-agent", "Agents/Agent",
      [
        "BongsuDelivery", "BongsuDevices", "BongsuEnrolment", "BongsuModel", "BongsuProcess", "BongsuRecordLog",
        "BongsuSampling",
        "BongsuSpool",
        "BongsuTransport", "BongsuWire", "CBongsuPlatform",
      ]),
    program(
      "bongsu-facility-agent", "Agents/FacilityAgent",
      [
        "BongsuDelivery", "BongsuDevices", "BongsuEnrolment", "BongsuFleet", "BongsuModel", "BongsuProcess",
        "BongsuRecordLog", "BongsuSpool", "BongsuTransport", "BongsuWire", httpClient, nioCore, nioHTTP1, nioSSL, yams,
      ]),
    program(
      "bongsu-fleet", "Agents/FleetSimulator",
      [
        "BongsuCodec", "BongsuDevices", "BongsuEnrolment", "BongsuFleet", "BongsuModel", "BongsuSampling",
        "BongsuTransport", "BongsuWire", argumentParser, histogram, yams,
      ]),

    // Aggregator: what runs in the middle.
    module("BongsuThreads", "Aggregator/Threads"),
    module("BongsuRing", "Aggregator/Ring", ["CBongsuPlatform"]),
    module("BongsuRollup", "Aggregator/Rollup", ["BongsuFleet", "BongsuModel"]),
    module(
      "BongsuStore", "Aggregator/Store",
      ["BongsuCodec", "BongsuModel", "BongsuRecordLog", "BongsuRollup", "BongsuThreads", "BongsuWire", grdb],
      exclude: ["FORMAT.md"]),
    module(
      "BongsuIngest", "Aggregator/Ingest",
      [
        "BongsuCodec", "BongsuFleet", "BongsuMetrics", "BongsuModel", "BongsuRecordLog", "BongsuRing", "BongsuRollup",
        "BongsuThreads", "BongsuTransport", "BongsuWire", "CBongsuPlatform",
      ]),
    module(
      "BongsuAdmission", "Aggregator/Admission",
      [
        "BongsuEnrolment", "BongsuFleet", "BongsuMetrics", "BongsuModel", "BongsuStore", "BongsuTransport", "CSodium",
      ]),
    module("BongsuReports", "Aggregator/Reports", [crypto]),
    .target(
      name: "BongsuAPI",
      dependencies: [
        "BongsuAlerts", "BongsuReports", "BongsuMetrics", "BongsuQuery", "BongsuSeries", "CZlib", hummingbird,
        hummingbirdTLS,
        lifecycle, logging, nioCore, nioHTTP1, nioSSL, httpTypes,
      ],
      path: "Aggregator/API",
      resources: [
        "index.html", "style.css", "icon.svg", "app.js", "access.js", "stream.js", "text.js", "format.js", "parts.js",
        "nation.js", "machines.js", "factory.js", "allocation.js", "alerts.js", "query.js",
      ].map { .embedInCode("Page/\($0)") }, swiftSettings: strict),

    module("BongsuQuery", "Aggregator/Query", ["BongsuSeries"]),
    .target(
      name: "BongsuAlerts",
      dependencies: [
        "BongsuQuery", "BongsuSeries", crypto, httpClient, logging, nioCore, nioFoundation, nioHTTP1, nioPosix, nioSSL,
        yams,
      ],
      path: "Aggregator/Alerts", resources: [.embedInCode("Rules/power.yaml")], swiftSettings: strict),
    program(
      "bongsu-aggregator", "Aggregator/Daemon",
      [
        "BongsuAdmission", "BongsuAlerts", "BongsuAPI", "BongsuEnrolment", "BongsuFleet", "BongsuIngest",
        "BongsuMetrics",
        "BongsuModel", "BongsuProcess",
        "BongsuReports", "BongsuRollup", "BongsuSeries", "BongsuStore", "BongsuTransport", "CBongsuPlatform",
        argumentParser, lifecycle, logging, unixSignals,
      ]),
    program(
      "bongsu", "Aggregator/CLI",
      [
        "BongsuAlerts", "BongsuFleet", "BongsuModel", "BongsuQuery", "BongsuReports", "BongsuSeries", "BongsuStore",
        "CBongsuTerminal", argumentParser, httpClient, nioCore, nioHTTP1, nioPosix, nioSSL,
      ]),

    // Tests.
    module(
      "BongsuSimulation", "Tests/Simulation/Core",
      ["BongsuCodec", "BongsuModel", "BongsuRecordLog", "BongsuSpool", "BongsuTestKit", "BongsuWire"]),
    program(
      "bongsu-drill", "Tests/Drill",
      [
        "BongsuCodec", "BongsuDevices", "BongsuModel", "BongsuRecordLog", "BongsuRollup", "BongsuSampling",
        "BongsuSpool", "BongsuStore", "BongsuTestKit", "BongsuWire",
      ]),
    program(
      "bongsu-past", "Tests/Performance/Past",
      ["BongsuCodec", "BongsuFleet", "BongsuModel", "BongsuRecordLog", "BongsuRollup", "BongsuStore", "BongsuWire"]),
    program("bongsu-simulate", "Tests/Simulation/Command", ["BongsuSimulation"]),
    .testTarget(
      name: "SimulationTests", dependencies: ["BongsuSimulation", "BongsuTestKit"], path: "Tests/Simulation/Tests",
      swiftSettings: strict),
    module("BongsuTestKit", "Tests/BongsuTestKit", ["BongsuModel", "BongsuRecordLog"]),
    module(
      "FixtureAggregator", "Tests/Support/FixtureAggregator",
      ["BongsuAPI", "BongsuMetrics", "BongsuReports", logging]),
    tests(
      "APITests",
      [
        "BongsuAlerts", "BongsuAPI", "BongsuMetrics", "BongsuQuery", "BongsuReports", "BongsuSeries", "BongsuTestKit",
        "FixtureAggregator", httpClient, logging, nioCore, nioHTTP1, nioPosix,
      ]),
    tests("CLITests", ["bongsu", "BongsuAPI", "BongsuQuery", "BongsuReports", "BongsuSeries", "FixtureAggregator"]),
    tests("CodecTests", ["BongsuCodec", "BongsuModel", "BongsuTestKit"]),
    tests("DevicesTests", ["BongsuDevices", "BongsuSampling", "BongsuModel", "BongsuTestKit"]),
    tests(
      "FleetSimulatorTests", ["bongsu-fleet", "BongsuDevices", "BongsuFleet", "BongsuModel", "BongsuTestKit"]),
    tests(
      "FacilityAgentTests",
      [
        "bongsu-facility-agent", "BongsuDelivery", "BongsuModel", "BongsuProcess", "BongsuTestKit", httpTypes,
        hummingbird, logging, nioCore,
      ], exclude: ["Pages"]),
    tests("FleetTests", ["BongsuFleet", "BongsuModel", "BongsuTestKit"]),
    tests(
      "EnrolmentTests",
      [
        "bongsu-agent", "BongsuAdmission", "BongsuCodec", "BongsuDelivery", "BongsuEnrolment", "BongsuFleet",
        "BongsuIngest",
        "BongsuMetrics", "BongsuModel", "BongsuRollup", "BongsuStore", "BongsuTestKit", "BongsuTransport", "BongsuWire",
      ]),
    tests(
      "IngestTests",
      [
        "BongsuCodec", "BongsuFleet", "BongsuIngest", "BongsuMetrics", "BongsuModel", "BongsuRecordLog", "BongsuRing",
        "BongsuRollup", "BongsuStore", "BongsuTestKit", "BongsuTransport", "BongsuWire",
      ]),
    tests("MetricsTests", ["BongsuMetrics"]),
    tests("ModelTests", ["BongsuModel"]),
    tests(
      "AggregatorTests",
      [
        "bongsu-aggregator", "BongsuAPI", "BongsuDevices", "BongsuFleet", "BongsuModel", "BongsuReports",
        "BongsuRollup", "BongsuSeries", "BongsuStore", "BongsuTestKit",
      ]),
    tests(
      "SettingsTests",
      ["bongsu-agent", "bongsu-aggregator", "BongsuDelivery", "BongsuProcess", "BongsuTestKit", argumentParser]),
    tests("RecordLogTests", ["BongsuRecordLog", "BongsuTestKit"]),
    tests("ReportsTests", ["BongsuReports", "BongsuTestKit", "FixtureAggregator"]),
    tests("RepositoryTests", []),
    tests(
      "ProcessTests",
      [
        "bongsu", "bongsu-agent", "bongsu-aggregator", "bongsu-drill", "bongsu-facility-agent", "bongsu-fleet",
        "BongsuQuery", "BongsuSeries", "BongsuTestKit", "QueryOracle",
      ]),
    module("QueryOracle", "Tests/Support/QueryOracle", ["BongsuQuery", "BongsuSeries", "BongsuTestKit"]),
    tests("QueryTests", ["BongsuQuery", "BongsuSeries", "BongsuTestKit", "QueryOracle"]),
    tests("AlertsTests", ["BongsuAlerts", "BongsuQuery", "BongsuSeries", logging]),
    tests("RollupTests", ["BongsuRollup", "BongsuFleet", "BongsuModel", "BongsuTestKit"]),
    tests("RingTests", ["BongsuRing", "BongsuTestKit"]),
    tests("SamplingTests", ["BongsuSampling", "BongsuDevices", "BongsuModel"]),
    tests("StressTests", ["BongsuRing"]),
    tests("TransportTests", ["BongsuTransport", "BongsuRing"]),
    tests(
      "SpoolTests",
      ["BongsuSpool", "BongsuCodec", "BongsuDevices", "BongsuModel", "BongsuRecordLog", "BongsuTestKit", "BongsuWire"]),
    tests(
      "StoreTests",
      [
        "BongsuStore", "BongsuCodec", "BongsuFleet", "BongsuModel", "BongsuRecordLog", "BongsuRollup", "BongsuTestKit",
        "BongsuWire", grdb,
      ], exclude: ["Fixtures"]),
    tests("WireTests", ["BongsuWire", "BongsuCodec", "BongsuModel", "BongsuTestKit"]),
  ]
)
