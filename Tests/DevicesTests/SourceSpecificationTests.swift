import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuDevices

@Suite("source specifications")
struct SourceSpecificationTests {
  @Test("every form is understood")
  func forms() throws {
    #expect(try SourceSpecification(parsing: "nvml") == .nvml(library: "libnvidia-ml.so.1"))
    #expect(try SourceSpecification(parsing: "nvml:/opt/lib:x.so") == .nvml(library: "/opt/lib:x.so"))
    #expect(try SourceSpecification(parsing: "host") == .host(sysfsRoot: "/sys"))
    #expect(try SourceSpecification(parsing: "host:/host/sys") == .host(sysfsRoot: "/host/sys"))
    var replay = ReplayOptions(file: "a/b.csv")
    #expect(try SourceSpecification(parsing: "replay:a/b.csv") == .replay(replay))
    replay.loops = true
    replay.speed = 1000
    replay.run = "r"
    replay.node = "n0"
    replay.model = "H100"
    replay.key = "k"
    #expect(
      try SourceSpecification(parsing: "replay:a/b.csv,speed=1000,loop,node=n0,run=r,model=H100,key=k")
        == .replay(replay))
    var node = SimulatedNode.Configuration()
    #expect(try SourceSpecification(parsing: "simulated") == .simulated(node))
    #expect(node.gpuCount == 8 && node.model.key == "B200" && node.seed == 1)
    node.model = try #require(GPUModel.model("GB200"))
    node.gpuCount = 4
    #expect(try SourceSpecification(parsing: "simulated:model=GB200") == .simulated(node))
    node.gpuCount = 64
    node.seed = 9
    node.jobSeed = 9
    #expect(try SourceSpecification(parsing: "simulated:gpus=64,model=GB200,seed=9") == .simulated(node))
    node.jobSeed = 0
    node.workload = .inference
    node.hasMeter = true
    #expect(
      try SourceSpecification(parsing: "simulated:jobs=0,work=inference,meter,gpus=64,model=GB200,seed=9")
        == .simulated(node))
  }

  private static let refused: [(String, String)] = [
    ("", "unknown source ''; expected nvml, amd, intel, host, replay:FILE or simulated"),
    ("cuda", "unknown source 'cuda'; expected nvml, amd, intel, host, replay:FILE or simulated"),
    ("nvml:", "source nvml needs a path after the colon"),
    ("host:", "source host needs a path after the colon"),
    ("replay", "source replay needs a file name, as in replay:run.csv,loop"),
    ("replay:,loop", "source replay needs a file name, as in replay:run.csv,loop"),
    (
      "replay:a.csv,",
      "source replay does not know ''; expected loop, speed=N, run=NAME, node=NAME, model=NAME, key=TEXT"
    ),
    ("replay:a.csv,loop=1", "source replay does not know 'loop=1'"),
    ("replay:a.csv,run=", "source replay does not know 'run='"),
    ("replay:a.csv,speed=0", "source replay: speed is '0'; expected a whole number from 1 to 1000"),
    ("replay:a.csv,speed=1001", "source replay: speed is '1001'"),
    ("replay:a.csv,speed=1.5", "source replay: speed is '1.5'"),
    ("replay:a.csv,speed=", "source replay: speed is ''"),
    ("simulated:gpus", "source simulated does not know 'gpus'; expected gpus=N, model=NAME"),
    ("simulated:gpus=0", "source simulated: gpus is '0'; expected a whole number from 1 to 64"),
    ("simulated:gpus=65", "source simulated: gpus is '65'"),
    ("simulated:gpus=+8", "source simulated: gpus is '+8'"),
    ("simulated:model=b200", "source simulated: model is 'b200'; expected one of H100, H200, B200"),
    ("simulated:seed=-1", "source simulated: seed is '-1'"),
    ("simulated:seed=99999999999999999999", "source simulated: seed is '99999999999999999999'"),
    ("simulated:work=play", "source simulated: work is 'play'; expected one of mixed, training, inference, idle"),
    ("simulated:gpus=8,,seed=1", "source simulated does not know ''"),
  ]

  @Test("what is not understood is refused by its part", arguments: refused.indices)
  func refusals(index: Int) throws {
    let (text, expected) = Self.refused[index]
    let error = #expect(throws: SourceSpecificationError.self) { try SourceSpecification(parsing: text) }
    let description = try #require(error).description
    #expect(description.hasPrefix(expected), "\(description)")
  }

  @Test("a set refuses a source that is named twice, too many, and a bad recording before anything starts")
  func sets() throws {
    let simulated = try SourceSpecification(parsing: "simulated")
    #expect(try SourceSet([simulated], interval: .second).sources.map(\.name) == ["simulated"])
    #expect(throws: SourceSetError.duplicate("simulated")) { try SourceSet([simulated, simulated], interval: .second) }
    let many = [SourceSpecification](repeating: simulated, count: 17)
    #expect(throws: SourceSetError.tooMany(17)) { try SourceSet(many, interval: .second) }
    let missing = try SourceSpecification(parsing: "replay:/nonexistent.csv")
    #expect(throws: SourceSetError.recording("cannot read recording /nonexistent.csv: No such file or directory")) {
      try SourceSet([missing], interval: .second)
    }
    #expect(try SourceSet(SourceSpecification.defaults, interval: .second).sources.map(\.name) == ["nvml", "host"])
  }
}
