// swift-tools-version: 6.2
import PackageDescription

// Benchmarks, in a package of their own so that normal builds stay light; ops/bench builds and runs them:
//
//     swift build -c release --package-path Tests/Performance

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

func bench(_ name: String, _ path: String, _ modules: [String]) -> Target {
  .executableTarget(
    name: name, dependencies: modules.map { .product(name: $0, package: "bongsu") }, path: path, swiftSettings: strict)
}

let package = Package(
  name: "bongsu-performance",
  dependencies: [.package(name: "bongsu", path: "../..")],
  targets: [
    bench("ring-bench", "RingBench", ["BongsuRing", "CBongsuPlatform"]),
    bench("codec-bench", "CodecBench", ["BongsuCodec", "BongsuModel"]),
    bench("rollup-bench", "RollupBench", ["BongsuFleet", "BongsuModel", "BongsuRollup"]),
  ]
)
