/* dl_iterate_phdr is a GNU extension; the header must not ask for those, so this stands apart. */
#define _GNU_SOURCE
#include <link.h>
#include <string.h>
#include <sys/mman.h>

#include "platform.h"

/* Whether the loader has written into read-only segments of this object; such pages exist nowhere else. */
static int has_text_relocations(const struct dl_phdr_info *object) {
  for (int index = 0; index < object->dlpi_phnum; index++) {
    if (object->dlpi_phdr[index].p_type != PT_DYNAMIC) continue;
    const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[index].p_vaddr);
    for (; entry->d_tag != DT_NULL; entry++) {
      if (entry->d_tag == DT_TEXTREL) return 1;
      if (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL)) return 1;
    }
  }
  return 0;
}

static int visit(struct dl_phdr_info *object, size_t size, void *bytes) {
  (void)size;
  /* The kernel's own page is no file. */
  if (object->dlpi_name && strncmp(object->dlpi_name, "linux-", 6) == 0) return 0;
  if (has_text_relocations(object)) return 0;
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[index];
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
    const uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
    const uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_filesz + page - 1) & ~(page - 1);
    if (madvise((void *)start, end - start, MADV_DONTNEED) == 0) *(int64_t *)bytes += (int64_t)(end - start);
  }
  return 0;
}

int64_t bongsu_release_code_pages(void) {
  int64_t bytes = 0;
  dl_iterate_phdr(visit, &bytes);
  return bytes;
}
