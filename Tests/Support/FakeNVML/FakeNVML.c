// A stand-in for NVIDIA's management library, for tests without a GPU.
//
// Promise: every function it has behaves at its border like the real one as far as an agent can see: names, signatures,
// structure layouts, versions, units, value types and return codes. compare.py checks that with NVIDIA's own Python
// binding. Values follow captured readings of idle machines (nvidia-smi of H100, B200, GB200 and A100 nodes); busy GPUs
// and the shape over time are made up. With time frozen every reading is a constant.
//
// Environment, read when the library is loaded:
//   FAKE_NVML_PROFILE      h100 (default), b200, gb200, a100
//   FAKE_NVML_GPUS         number of GPUs; default that of the profile
//   FAKE_NVML_FREEZE_US    Unix microseconds at which time stands still
//   FAKE_NVML_BUSY         1: all GPUs run under load
//   FAKE_NVML_HANG_MS      every read of field values takes this long
//   FAKE_NVML_LOST         number of a GPU that is lost
//   FAKE_NVML_MIG          number of a GPU that is partitioned
//   FAKE_NVML_DRIVER_CODE  what initialisation and all else return, 9 for "driver not loaded"
//   FAKE_NVML_CONTROL      a file of lines `WHAT GPU VALUE`: what is appended to it takes effect at the next call, so that
//                          a test changes the machine of another process
//
// While loaded, fakeNvmlSet changes the same and more; see there. Compiled with -DFAKE_NVML_OLD_DRIVER it lacks what drivers
// of 2020 lacked; -DFAKE_NVML_DRIVER="\"590.44.01\"" makes it that version's.

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum {
  GPUS_MAX = 16,
  RING_SAMPLES = 120,
  RING_SPACING_US = 20000,
  EVENTS_MAX = 64,
  LINKS = 18,
};

#ifndef FAKE_NVML_DRIVER
#define FAKE_NVML_DRIVER "580.105.08"
#endif

enum {
  OK = 0,
  UNINITIALIZED = 1,
  INVALID_ARGUMENT = 2,
  NOT_SUPPORTED = 3,
  NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7,
  TIMEOUT = 10,
  GPU_LOST = 15,
  VERSION_MISMATCH = 25,
};

// Structures of nvml.h, as an agent passes them.

typedef union {
  double d;
  int32_t si;
  uint32_t ui;
  uint64_t ull;
  int64_t sll;
  uint16_t us;
} Value;

typedef struct {
  uint32_t gpu, memory;
} Utilization;

typedef struct {
  uint64_t timestampUs;
  Value value;
} Sample;

typedef struct {
  uint32_t fieldId, scopeId;
  int64_t timestampUs, latencyUs;
  int32_t valueType, code;
  Value value;
} FieldValue;

typedef struct {
  char legacyId[16];
  uint32_t domain, bus, device, pciDeviceId, subSystemId;
  char busId[32];
} PciInfo;

typedef struct {
  uint64_t total, free, used;
} Memory;

typedef struct {
  uint32_t version;
  uint64_t total, reserved, free, used;
} Memory2;

typedef struct {
  uint32_t version;
  int32_t sensor, value;
} Temperature;

typedef struct {
  uint32_t version;
  int32_t value;
} MarginTemperature;

typedef struct {
  uint32_t version;
  uint8_t ibGuid[16];
  uint8_t chassisSerial[16];
  uint8_t slot, tray, hostId, peerType, moduleId;
} PlatformInfo;

struct Gpu;
typedef struct {
  struct Gpu *device;
  uint64_t type, data;
  uint32_t gpuInstance, computeInstance;
} EventData;

_Static_assert(sizeof(Utilization) == 8, "nvmlUtilization_t");
_Static_assert(sizeof(Sample) == 16, "nvmlSample_t");
_Static_assert(sizeof(FieldValue) == 40, "nvmlFieldValue_t");
_Static_assert(sizeof(PciInfo) == 68, "nvmlPciInfo_t");
_Static_assert(sizeof(Memory2) == 40, "nvmlMemory_v2_t");
_Static_assert(sizeof(Temperature) == 12, "nvmlTemperature_v1_t");
_Static_assert(sizeof(MarginTemperature) == 8, "nvmlMarginTemperature_v1_t");
_Static_assert(sizeof(PlatformInfo) == 44, "nvmlPlatformInfo_v2_t");
_Static_assert(sizeof(EventData) == 32, "nvmlEventData_t");

#define VERSION(type, number) ((uint32_t)(sizeof(type) | ((number) << 24)))

// The machine.

typedef struct {
  const char *key, *name;
  uint32_t gpus, architecture, pciDeviceId;
  uint32_t idleMilliwatts, limitMilliwatts, moduleMilliwatts;
  uint64_t memoryMebibytes, reservedMebibytes;
  uint32_t idleCelsius, memoryCelsius, marginCelsius, idleClock, clockMax, memoryClock;
  int hasAverage, gpusPerBoard;
  const char *chassis;
} Profile;

static const Profile profiles[] = {
  {"h100", "NVIDIA H100 80GB HBM3", 8, 9, 0x233010DE, 68570, 700000, 0, 81559, 480, 29, 37, 58, 345, 1980, 2619, 1, 1,
   ""},
  {"b200", "NVIDIA B200", 8, 10, 0x290110DE, 196300, 1000000, 0, 183359, 700, 33, 35, 52, 120, 1965, 3996, 1, 1, ""},
  {"gb200", "NVIDIA GB200", 4, 10, 0x294110DE, 166100, 1200000, 463500, 189471, 700, 35, 34, 50, 120, 2062, 3996, 1, 2,
   "1821325191344"},
  {"a100", "NVIDIA A100-SXM4-80GB", 8, 7, 0x20B210DE, 55200, 400000, 0, 81920, 600, 30, 33, 55, 210, 1410, 1593, 0, 1,
   ""},
};

typedef struct Gpu {
  uint32_t index;
  int isLost, isPartitioned, isBusy;
  uint64_t energyMicrojoules, energyTimeUs;
  uint64_t pcieTransmit, pcieReceive, uncorrected, brakeNanoseconds;
  int isBraked;
} Gpu;

#ifndef FAKE_NVML_OLD_DRIVER
typedef struct {
  int isUsed;
  uint64_t masks[GPUS_MAX];
  // What was reported since the GPUs were registered and nobody has taken.
  EventData events[EVENTS_MAX];
  int eventCount;
} EventSet;
static EventSet eventSets[8];
static pthread_cond_t eventCome;
static int eventHangMilliseconds;
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const Profile *profile = &profiles[0];
static Gpu gpus[GPUS_MAX];
static uint32_t gpuCount = 8;
static int initCount;
static int driverCode;
static int hangMilliseconds;
static int hasNarrowPcie;
static int countsByLink;
static uint32_t linksDown;
static const char *controlPath;
static long long controlRead;
static uint64_t frozenUs;
static uint64_t loadTimeUs;

static uint64_t nowUs(void) {
  if (frozenUs != 0) return frozenUs;
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint32_t scramble(uint64_t first, uint64_t second) {
  uint64_t word = first * 0x9E3779B97F4A7C15u + second;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return (uint32_t)(word >> 32);
}

static uint32_t meanMilliwatts(const Gpu *gpu) {
  if (gpu->isBusy) return profile->limitMilliwatts / 100 * 92 + gpu->index * 811;
  return profile->idleMilliwatts + gpu->index * 137;
}

// The driver's sample number `number`, of which there is one every 20 ms.
static uint32_t sampleMilliwatts(const Gpu *gpu, uint64_t number) {
  uint32_t swing = gpu->isBusy ? 60000 : 700;
  return meanMilliwatts(gpu) - swing / 2 + scramble(gpu->index, number) % swing;
}

static uint32_t averageMilliwatts(const Gpu *gpu) {
  uint64_t newest = nowUs() / RING_SPACING_US, sum = 0;
  for (uint64_t number = newest - 49; number <= newest; number++) sum += sampleMilliwatts(gpu, number);
  return (uint32_t)(sum / 50);
}

// Energy since the driver was loaded; the counter moves every 100 ms.
static uint64_t energyMillijoules(Gpu *gpu) {
  uint64_t now = nowUs() / 100000 * 100000;
  if (now > gpu->energyTimeUs) {
    gpu->energyMicrojoules += (now - gpu->energyTimeUs) * meanMilliwatts(gpu) / 1000;
    gpu->energyTimeUs = now;
  }
  return gpu->energyMicrojoules / 1000;
}

static void loadDriver(void) {
  loadTimeUs = nowUs() - 3600000000u;
  for (uint32_t index = 0; index < GPUS_MAX; index++) {
    Gpu *gpu = &gpus[index];
    gpu->index = index;
    gpu->energyMicrojoules = 0;
    gpu->energyTimeUs = loadTimeUs / 100000 * 100000;
    gpu->uncorrected = 0;
    gpu->brakeNanoseconds = 0;
  }
}

static long long environment(const char *name, long long otherwise) {
  const char *text = getenv(name);
  return text == NULL || *text == 0 ? otherwise : atoll(text);
}

__attribute__((constructor)) static void start(void) {
  const char *key = getenv("FAKE_NVML_PROFILE");
  for (size_t index = 0; key != NULL && index < sizeof profiles / sizeof profiles[0]; index++)
    if (strcmp(profiles[index].key, key) == 0) profile = &profiles[index];
  gpuCount = (uint32_t)environment("FAKE_NVML_GPUS", profile->gpus);
  if (gpuCount > GPUS_MAX) gpuCount = GPUS_MAX;
  frozenUs = (uint64_t)environment("FAKE_NVML_FREEZE_US", 0);
  hangMilliseconds = (int)environment("FAKE_NVML_HANG_MS", 0);
  driverCode = (int)environment("FAKE_NVML_DRIVER_CODE", 0);
  controlPath = getenv("FAKE_NVML_CONTROL");
#ifndef FAKE_NVML_OLD_DRIVER
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&eventCome, &attributes);
#endif
  loadDriver();
  long long lost = environment("FAKE_NVML_LOST", -1), mig = environment("FAKE_NVML_MIG", -1);
  for (uint32_t index = 0; index < GPUS_MAX; index++) {
    gpus[index].isBusy = environment("FAKE_NVML_BUSY", 0) != 0;
    gpus[index].isLost = (long long)index == lost;
    gpus[index].isPartitioned = (long long)index == mig;
    gpus[index].pcieTransmit = 1000000000u + index;
    gpus[index].pcieReceive = 2000000000u + index;
  }
}

// Control from a test, effective at once. What and for which GPU:
//
//   gpus         number of GPUs                     profile     0 h100, 1 b200, 2 gb200, 3 a100
//   freeze_us    as in the environment, 0 to run    hang_ms     as in the environment
//   driver_code  as in the environment              reload      the driver is reloaded: sessions end, counters restart
//   lost, mig, busy      0 or 1 of GPU `gpu`        xid         GPU `gpu` reports XID error `value`
//   pcie         adds bytes both ways               pcie_narrow 1: PCIe counters are 32-bit
//   ecc          adds uncorrected errors            energy      adds millijoules
//   link_bytes   1: NVLinks count link by link, as from the fifth generation on
//   link_down    NVLink number `value` does not answer, -1: all do
//   brake        adds nanoseconds of power brake   brake_now   1: the power brake is pulled at this instant
//   event_hang_ms  a wait for events takes this long, whatever it was told
//
// Returns 0, or -1 for anything else.
static int set(const char *what, int gpu, long long value) {
  if (gpu < 0 || gpu >= GPUS_MAX) return -1;
  int result = 0;
  if (strcmp(what, "gpus") == 0) gpuCount = (uint32_t)value;
  else if (strcmp(what, "profile") == 0) profile = &profiles[value];
  else if (strcmp(what, "freeze_us") == 0) { frozenUs = (uint64_t)value; loadDriver(); }
  else if (strcmp(what, "hang_ms") == 0) hangMilliseconds = (int)value;
  else if (strcmp(what, "driver_code") == 0) driverCode = (int)value;
  else if (strcmp(what, "reload") == 0) { initCount = 0; loadDriver(); }
  else if (strcmp(what, "lost") == 0) gpus[gpu].isLost = (int)value;
  else if (strcmp(what, "mig") == 0) gpus[gpu].isPartitioned = (int)value;
  else if (strcmp(what, "busy") == 0) { energyMillijoules(&gpus[gpu]); gpus[gpu].isBusy = (int)value; }
  else if (strcmp(what, "pcie") == 0) { gpus[gpu].pcieTransmit += value; gpus[gpu].pcieReceive += value; }
  else if (strcmp(what, "pcie_narrow") == 0) hasNarrowPcie = (int)value;
  else if (strcmp(what, "ecc") == 0) gpus[gpu].uncorrected += value;
  else if (strcmp(what, "brake") == 0) gpus[gpu].brakeNanoseconds += (uint64_t)value;
  else if (strcmp(what, "brake_now") == 0) gpus[gpu].isBraked = (int)value;
  else if (strcmp(what, "energy") == 0) gpus[gpu].energyMicrojoules += (uint64_t)value * 1000;
  else if (strcmp(what, "link_bytes") == 0) countsByLink = (int)value;
  else if (strcmp(what, "link_down") == 0) linksDown = value < 0 ? 0 : 1u << value;
#ifndef FAKE_NVML_OLD_DRIVER
  else if (strcmp(what, "event_hang_ms") == 0) {
    eventHangMilliseconds = (int)value;
    pthread_cond_broadcast(&eventCome);
  } else if (strcmp(what, "xid") == 0) {
    // Every set that asked for it gets the event; without one it is not kept.
    for (size_t index = 0; index < sizeof eventSets / sizeof eventSets[0]; index++) {
      EventSet *set = &eventSets[index];
      if (!set->isUsed || (set->masks[gpu] & 0x8) == 0 || set->eventCount == EVENTS_MAX) continue;
      set->events[set->eventCount++] = (EventData){&gpus[gpu], 0x8, (uint64_t)value, UINT32_MAX, UINT32_MAX};
    }
    pthread_cond_broadcast(&eventCome);
  }
#endif
  else result = -1;
  return result;
}

EXPORT int fakeNvmlSet(const char *what, int gpu, long long value) {
  pthread_mutex_lock(&lock);
  int result = set(what, gpu, value);
  pthread_mutex_unlock(&lock);
  return result;
}

// Takes the whole lines that were added to the control file. With the lock held.
static void readControl(void) {
  struct stat status;
  if (controlPath == NULL || stat(controlPath, &status) != 0 || status.st_size <= controlRead) return;
  FILE *file = fopen(controlPath, "re");
  if (file == NULL) return;
  char line[128], what[64];
  fseek(file, controlRead, SEEK_SET);
  while (fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
    int gpu;
    long long value;
    if (sscanf(line, "%63s %d %lld", what, &gpu, &value) == 3) set(what, gpu, value);
    controlRead = ftell(file);
  }
  fclose(file);
}

// How many sessions are open: initialisations without their shutdown.
EXPORT int fakeNvmlSessions(void) {
  pthread_mutex_lock(&lock);
  int count = initCount;
  pthread_mutex_unlock(&lock);
  return count;
}

// Every entry: what the library as a whole answers, or OK. Returns with the lock held.
static int enter(void) {
  pthread_mutex_lock(&lock);
  readControl();
  if (driverCode != 0) return driverCode;
  return initCount > 0 ? OK : UNINITIALIZED;
}

static int leave(int code) {
  pthread_mutex_unlock(&lock);
  return code;
}

// As `enter`, for calls about one GPU.
static int enterGpu(const Gpu *gpu) {
  int code = enter();
  if (code != OK) return code;
  if (gpu < gpus || gpu >= gpus + GPUS_MAX) return INVALID_ARGUMENT;
  return gpu->isLost ? GPU_LOST : OK;
}

static int putText(const char *text, char *buffer, uint32_t length) {
  if (buffer == NULL) return INVALID_ARGUMENT;
  if (strlen(text) + 1 > length) return INSUFFICIENT_SIZE;
  strcpy(buffer, text);
  return OK;
}

EXPORT int nvmlInitWithFlags(uint32_t flags) {
  pthread_mutex_lock(&lock);
  readControl();
  if (flags > 7) return leave(INVALID_ARGUMENT);
  if (driverCode == 0) initCount++;
  return leave(driverCode);
}

EXPORT int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

EXPORT int nvmlShutdown(void) {
  int code = enter();
  if (code == OK) initCount--;
  return leave(code);
}

EXPORT const char *nvmlErrorString(int code) {
  switch (code) {
  case OK: return "Success";
  case UNINITIALIZED: return "Uninitialized";
  case NOT_SUPPORTED: return "Not Supported";
  case 9: return "Driver Not Loaded";
  case GPU_LOST: return "GPU is lost";
  default: return "Unknown Error";
  }
}

EXPORT int nvmlSystemGetDriverVersion(char *buffer, uint32_t length) {
  int code = enter();
  return leave(code == OK ? putText(FAKE_NVML_DRIVER, buffer, length) : code);
}

EXPORT int nvmlDeviceGetCount_v2(uint32_t *count) {
  int code = enter();
  if (code == OK) *count = gpuCount;
  return leave(code);
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(uint32_t index, Gpu **device) {
  int code = enter();
  if (code == OK && index >= gpuCount) code = INVALID_ARGUMENT;
  if (code == OK && gpus[index].isLost) code = GPU_LOST;
  if (code == OK) *device = &gpus[index];
  return leave(code);
}

EXPORT int nvmlDeviceGetUUID(Gpu *gpu, char *buffer, uint32_t length) {
  int code = enterGpu(gpu);
  char text[64];
  snprintf(text, sizeof text, "GPU-00000000-0000-4000-8000-%012x", gpu->index + 1);
  return leave(code == OK ? putText(text, buffer, length) : code);
}

EXPORT int nvmlDeviceGetName(Gpu *gpu, char *buffer, uint32_t length) {
  int code = enterGpu(gpu);
  return leave(code == OK ? putText(profile->name, buffer, length) : code);
}

EXPORT int nvmlDeviceGetSerial(Gpu *gpu, char *buffer, uint32_t length) {
  int code = enterGpu(gpu);
  char text[32];
  snprintf(text, sizeof text, "16500000000%02u", gpu->index / profile->gpusPerBoard + 1);
  return leave(code == OK ? putText(text, buffer, length) : code);
}

EXPORT int nvmlDeviceGetPciInfo_v3(Gpu *gpu, PciInfo *info) {
  int code = enterGpu(gpu);
  if (code != OK) return leave(code);
  memset(info, 0, sizeof *info);
  info->bus = 0x53 + gpu->index * 8;
  info->pciDeviceId = profile->pciDeviceId;
  info->subSystemId = 0x16C110DE;
  snprintf(info->legacyId, sizeof info->legacyId, "0000:%02X:00.0", info->bus);
  snprintf(info->busId, sizeof info->busId, "00000000:%02X:00.0", info->bus);
  return leave(OK);
}

EXPORT int nvmlDeviceGetPowerUsage(Gpu *gpu, uint32_t *milliwatts) {
  int code = enterGpu(gpu);
  if (code != OK) return leave(code);
  // A mean where the chip averages, the newest sample where it does not.
  *milliwatts = profile->hasAverage ? averageMilliwatts(gpu) : sampleMilliwatts(gpu, nowUs() / RING_SPACING_US);
  return leave(OK);
}

EXPORT int nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *millijoules) {
  int code = enterGpu(gpu);
  if (code == OK) *millijoules = energyMillijoules(gpu);
  return leave(code);
}

EXPORT int nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, uint32_t *milliwatts) {
  int code = enterGpu(gpu);
  if (code == OK) *milliwatts = profile->limitMilliwatts;
  return leave(code);
}

EXPORT int nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *utilization) {
  int code = enterGpu(gpu);
  if (code == OK && gpu->isPartitioned) code = NOT_SUPPORTED;
  if (code == OK) *utilization = gpu->isBusy ? (Utilization){97 + gpu->index % 3, 41} : (Utilization){0, 0};
  return leave(code);
}

static uint64_t usedBytes(const Gpu *gpu) {
  return gpu->isBusy ? (profile->memoryMebibytes * 3 / 4 + gpu->index) << 20 : 4u << 20;
}

EXPORT int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *memory) {
  int code = enterGpu(gpu);
  if (code != OK) return leave(code);
  // The first form counts what the driver reserves as used.
  memory->total = profile->memoryMebibytes << 20;
  memory->used = usedBytes(gpu) + (profile->reservedMebibytes << 20);
  memory->free = memory->total - memory->used;
  return leave(OK);
}

EXPORT int nvmlDeviceGetTemperature(Gpu *gpu, int sensor, uint32_t *celsius) {
  int code = enterGpu(gpu);
  if (code == OK && sensor != 0) code = INVALID_ARGUMENT;
  if (code == OK) *celsius = profile->idleCelsius + gpu->index % 4 + (gpu->isBusy ? 31 : 0);
  return leave(code);
}

EXPORT int nvmlDeviceGetClockInfo(Gpu *gpu, int type, uint32_t *megahertz) {
  int code = enterGpu(gpu);
  if (code != OK) return leave(code);
  switch (type) {
  case 0:
  case 1: *megahertz = gpu->isBusy ? profile->clockMax - gpu->index * 15 : profile->idleClock; break;
  case 2: *megahertz = profile->memoryClock; break;
  case 3: *megahertz = 765; break;
  default: return leave(INVALID_ARGUMENT);
  }
  return leave(OK);
}

EXPORT int nvmlDeviceGetTotalEccErrors(Gpu *gpu, int kind, int counter, unsigned long long *errors) {
  int code = enterGpu(gpu);
  if (code == OK && (kind < 0 || kind > 1 || counter < 0 || counter > 1)) code = INVALID_ARGUMENT;
  if (code == OK) *errors = kind == 1 ? gpu->uncorrected : 0;
  return leave(code);
}

static int eventReasons(Gpu *gpu, unsigned long long *reasons) {
  int code = enterGpu(gpu);
  if (code == OK) *reasons = (gpu->isBusy ? 0x4 : 0x1) | (gpu->isBraked ? 0x80 : 0);
  return leave(code);
}

EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(Gpu *gpu, unsigned long long *reasons) {
  return eventReasons(gpu, reasons);
}

EXPORT int nvmlDeviceGetMigMode(Gpu *gpu, uint32_t *current, uint32_t *pending) {
  int code = enterGpu(gpu);
  if (code == OK) *current = *pending = (uint32_t)gpu->isPartitioned;
  return leave(code);
}

static int readField(Gpu *gpu, FieldValue *field) {
  uint64_t now = nowUs();
  field->timestampUs = (int64_t)now;
  field->latencyUs = 3;
  field->valueType = 3;
  switch (field->fieldId) {
  case 4: field->value.ull = gpu->uncorrected; return OK;
  case 82:
    field->valueType = 1;
    field->value.ui = profile->memoryCelsius + gpu->index % 3 + (gpu->isBusy ? 38 : 0);
    return OK;
  case 83: field->value.ull = energyMillijoules(gpu); return OK;
  case 91:
    field->valueType = 1;
    field->value.ui = LINKS;
    return OK;
  case 138:
  case 139:
    if (countsByLink) return NOT_SUPPORTED;
    if (field->scopeId != UINT32_MAX) return INVALID_ARGUMENT;
    field->value.ull = (uint64_t)gpu->isBusy * (now / 1000000) + field->fieldId * 1000 + gpu->index;
    return OK;
#ifndef FAKE_NVML_OLD_DRIVER
  case 202:
  case 204:
    if (!countsByLink) return NOT_SUPPORTED;
    if (field->scopeId >= LINKS) return INVALID_ARGUMENT;
    if (linksDown & 1u << field->scopeId) return NOT_SUPPORTED;
    field->value.ull = (uint64_t)gpu->isBusy * (now / 1000) + field->fieldId * 10000 + gpu->index * 2000 + field->scopeId;
    return OK;
  case 185:
    field->valueType = 1;
    if (field->scopeId == 0 && profile->hasAverage) { field->value.ui = averageMilliwatts(gpu); return OK; }
    if (field->scopeId == 1 && profile->moduleMilliwatts > 0) {
      field->value.ui = profile->moduleMilliwatts + gpu->index / profile->gpusPerBoard * 3100;
      return OK;
    }
    return NOT_SUPPORTED;
  case 186:
    field->valueType = 1;
    if (field->scopeId != 0) return NOT_SUPPORTED;
    field->value.ui = sampleMilliwatts(gpu, now / RING_SPACING_US);
    return OK;
  case 197:
  case 198: {
    uint64_t bytes = field->fieldId == 197 ? gpu->pcieTransmit : gpu->pcieReceive;
    field->valueType = hasNarrowPcie ? 1 : 3;
    if (hasNarrowPcie) field->value.ui = (uint32_t)bytes;
    else field->value.ull = bytes;
    return OK;
  }
  case 271: field->value.ull = gpu->brakeNanoseconds; return OK;
#endif
  default: return INVALID_ARGUMENT;
  }
}

EXPORT int nvmlDeviceGetFieldValues(Gpu *gpu, int count, FieldValue *fields) {
  pthread_mutex_lock(&lock);
  readControl();
  pthread_mutex_unlock(&lock);
  if (hangMilliseconds > 0) usleep((useconds_t)hangMilliseconds * 1000);
  int code = enterGpu(gpu);
  if (code == OK && (count <= 0 || fields == NULL)) code = INVALID_ARGUMENT;
  for (int index = 0; code == OK && index < count; index++) fields[index].code = readField(gpu, &fields[index]);
  return leave(code);
}

EXPORT int nvmlDeviceGetSamples(Gpu *gpu, int type, unsigned long long since, int *valueType, uint32_t *count,
                                Sample *samples) {
  int code = enterGpu(gpu);
  if (code == OK && (type < 0 || type > 7)) code = INVALID_ARGUMENT;
  if (code == OK && type != 0) code = NOT_SUPPORTED;
  if (code != OK) return leave(code);
  *valueType = 1;
  uint64_t newest = nowUs() / RING_SPACING_US, first = newest - RING_SAMPLES + 1;
  while (first <= newest && first * RING_SPACING_US <= since) first++;
  uint32_t available = (uint32_t)(newest - first + 1);
  if (available == 0) return leave(NOT_FOUND);
  if (samples == NULL) {
    *count = RING_SAMPLES;
    return leave(OK);
  }
  if (*count < available) {
    *count = available;
    return leave(INSUFFICIENT_SIZE);
  }
  *count = available;
  for (uint32_t index = 0; index < available; index++) {
    samples[index].timestampUs = (first + index) * RING_SPACING_US;
    samples[index].value.ui = sampleMilliwatts(gpu, first + index);
  }
  return leave(OK);
}

#ifndef FAKE_NVML_OLD_DRIVER

EXPORT int nvmlDeviceGetArchitecture(Gpu *gpu, uint32_t *architecture) {
  int code = enterGpu(gpu);
  if (code == OK) *architecture = profile->architecture;
  return leave(code);
}

EXPORT int nvmlDeviceGetPlatformInfo(Gpu *gpu, PlatformInfo *info) {
  int code = enterGpu(gpu);
  if (code == OK && info->version != VERSION(PlatformInfo, 2)) code = VERSION_MISMATCH;
  if (code != OK) return leave(code);
  memset((char *)info + 4, 0, sizeof *info - 4);
  memcpy(info->chassisSerial, profile->chassis, strlen(profile->chassis));
  info->moduleId = (uint8_t)(gpu->index + 1);
  info->slot = *profile->chassis != 0 ? 9 : 0;
  info->tray = *profile->chassis != 0 ? 5 : 0;
  return leave(OK);
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, Memory2 *memory) {
  int code = enterGpu(gpu);
  if (code == OK && memory->version != VERSION(Memory2, 2)) code = VERSION_MISMATCH;
  if (code != OK) return leave(code);
  memory->total = profile->memoryMebibytes << 20;
  memory->reserved = profile->reservedMebibytes << 20;
  memory->used = usedBytes(gpu);
  memory->free = memory->total - memory->reserved - memory->used;
  return leave(OK);
}

EXPORT int nvmlDeviceGetTemperatureV(Gpu *gpu, Temperature *temperature) {
  int code = enterGpu(gpu);
  if (code == OK && temperature->version != VERSION(Temperature, 1)) code = VERSION_MISMATCH;
  if (code == OK && temperature->sensor != 0) code = INVALID_ARGUMENT;
  if (code == OK) temperature->value = (int32_t)(profile->idleCelsius + gpu->index % 4 + (gpu->isBusy ? 31 : 0));
  return leave(code);
}

EXPORT int nvmlDeviceGetMarginTemperature(Gpu *gpu, MarginTemperature *margin) {
  int code = enterGpu(gpu);
  if (code == OK && margin->version != VERSION(MarginTemperature, 1)) code = VERSION_MISMATCH;
  if (code == OK) margin->value = (int32_t)(profile->marginCelsius - gpu->index % 4) - (gpu->isBusy ? 31 : 0);
  return leave(code);
}

EXPORT int nvmlDeviceGetCurrentClocksEventReasons(Gpu *gpu, unsigned long long *reasons) {
  return eventReasons(gpu, reasons);
}

EXPORT int nvmlDeviceGetSupportedEventTypes(Gpu *gpu, unsigned long long *types) {
  int code = enterGpu(gpu);
  if (code == OK) *types = 0x1 | 0x2 | 0x8 | 0x10 | 0x100;
  return leave(code);
}

EXPORT int nvmlEventSetCreate(EventSet **set) {
  int code = enter();
  if (code != OK) return leave(code);
  for (size_t index = 0; index < sizeof eventSets / sizeof eventSets[0]; index++) {
    if (eventSets[index].isUsed) continue;
    memset(&eventSets[index], 0, sizeof eventSets[index]);
    eventSets[index].isUsed = 1;
    *set = &eventSets[index];
    return leave(OK);
  }
  return leave(20);
}

EXPORT int nvmlEventSetFree(EventSet *set) {
  int code = enter();
  set->isUsed = 0;
  return leave(code);
}

EXPORT int nvmlDeviceRegisterEvents(Gpu *gpu, unsigned long long types, EventSet *set) {
  int code = enterGpu(gpu);
  if (code == OK && types == 0) code = INVALID_ARGUMENT;
  if (code == OK) set->masks[gpu->index] |= types;
  return leave(code);
}

// A GPU of the set that is lost ends every wait, as the header says.
static int eventCode(const EventSet *set) {
  for (uint32_t index = 0; index < GPUS_MAX; index++)
    if (set->masks[index] != 0 && gpus[index].isLost) return GPU_LOST;
  return driverCode != 0 ? driverCode : initCount > 0 ? OK : UNINITIALIZED;
}

EXPORT int nvmlEventSetWait_v2(EventSet *set, EventData *data, uint32_t milliseconds) {
  int code = enter();
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)milliseconds * 1000000;
  until.tv_sec += (time_t)(nanoseconds / 1000000000);
  until.tv_nsec = (long)(nanoseconds % 1000000000);
  int waited = 0;
  while (code == OK && set->eventCount == 0 && eventHangMilliseconds == 0 && waited == 0) {
    waited = pthread_cond_timedwait(&eventCome, &lock, &until);
    code = eventCode(set);
  }
  if (eventHangMilliseconds > 0) {
    int hang = eventHangMilliseconds;
    leave(code);
    usleep((useconds_t)hang * 1000);
    return TIMEOUT;
  }
  if (set->eventCount > 0) {
    *data = set->events[0];
    memmove(&set->events[0], &set->events[1], (size_t)--set->eventCount * sizeof set->events[0]);
    code = OK;
  } else if (code == OK) code = eventCode(set) == OK ? TIMEOUT : eventCode(set);
  return leave(code);
}

#endif
