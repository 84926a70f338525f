package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"ndock/openstack/node"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// sysctl is the step that raises limits of the kernel that all servers of this host share: their defaults are for one machine,
// and a few servers would use them up. It lowers nothing.
type sysctl struct {
	Machine
	did     system.Changes           // of this run, to files
	changed map[string]record.Raised // in this run
}

// sysctlFile is read when the machine boots.
const sysctlFile = "/etc/sysctl.d/60-ndock.conf"

// limits are what the limits are to be: so much for each GiB of memory, within bounds.
var limits = []limit{
	{"net.ipv4.neigh.default.gc_thresh1", 128, 1024, 8192}, // neighbours of all containers are in one table
	{"net.ipv4.neigh.default.gc_thresh2", 512, 4096, 32768},
	{"net.ipv4.neigh.default.gc_thresh3", 1024, 8192, 65536},
	{"net.ipv6.neigh.default.gc_thresh1", 128, 1024, 8192},
	{"net.ipv6.neigh.default.gc_thresh2", 512, 4096, 32768},
	{"net.ipv6.neigh.default.gc_thresh3", 1024, 8192, 65536},
	{"kernel.pty.max", 1024, 4096, 65536},
	{"fs.aio-max-nr", 65536, 1 << 20, 1 << 24},
	{"fs.inotify.max_user_instances", 512, 1024, 65536}, // of a user: root in servers is one, by userns-remap too
	{"fs.inotify.max_user_watches", 16384, 65536, 1 << 20},
	{"kernel.pid_max", 32768, 1 << 17, 1 << 22},
	{"vm.max_map_count", 0, 1 << 18, 1 << 18}, // of a process: no server can raise it for itself
	{"kernel.keys.maxkeys", 512, 2000, 65536}, // of a user: each container has a keyring
	{"kernel.keys.maxbytes", 51200, 200000, 6553600},
}

type limit struct {
	name             string
	perGiB, min, max uint64
}

// value returns what the limit is to be on a machine with so many bytes of memory.
func (l limit) value(memory uint64) uint64 {
	const gib = 1 << 30
	return min(l.max, max(l.min, l.perGiB*((memory+gib-1)/gib)))
}

func (s *sysctl) Title() string { return "sysctl" }

// lowLimit is a limit that is lower than it is to be.
type lowLimit struct {
	name string
	record.Raised
	fixed error // why it cannot be raised
}

// tooLow returns the limits that are too low. Limits that this kernel, or this container, does not have are left out.
func (s *sysctl) tooLow() ([]lowLimit, error) {
	memory, err := s.memory()
	if err != nil {
		return nil, err
	}
	var low []lowLimit
	for _, l := range limits {
		now, err := s.get(l.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if want := l.value(memory); now < want {
			low = append(low, lowLimit{l.name, record.Raised{Was: now, Is: want}, s.whyFixed(l.name)})
		}
	}
	return low, nil
}

// memory returns the machine's memory in bytes, 0 where /proc does not tell.
func (s *sysctl) memory() (uint64, error) {
	path := s.Layout.Path("/proc/meminfo")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, system.FileError("read", path, err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", path, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read %s: it has no MemTotal", path)
}

func (s *sysctl) path(name string) string {
	return s.Layout.Path("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
}

func (s *sysctl) get(name string) (uint64, error) {
	content, err := os.ReadFile(s.path(name))
	if err != nil {
		return 0, err
	}
	value, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}

func (s *sysctl) set(name string, value uint64) error {
	file, err := os.OpenFile(s.path(name), os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = fmt.Fprintf(file, "%d\n", value)
		err = errors.Join(err, file.Close())
	}
	return err
}

// whyFixed returns why a limit cannot be written, as in a container; nil where it can, or where the user is not root.
func (s *sysctl) whyFixed(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	file, err := os.OpenFile(s.path(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

func (s *sysctl) Plan(context.Context) ([]string, error) {
	low, err := s.tooLow()
	if err != nil {
		return nil, err
	}
	var plan []string
	for _, l := range low {
		if l.fixed == nil {
			plan = append(plan, fmt.Sprintf("raise %s from %d to %d", l.name, l.Was, l.Is))
		}
	}
	content, err := s.file(low)
	if err != nil || content == nil {
		return plan, err
	}
	same, err := system.Holds(s.Layout.Path(sysctlFile), content, 0o644)
	if err == nil && !same {
		plan = append(plan, "write "+s.Layout.Path(sysctlFile))
	}
	return plan, err
}

// file returns the content of sysctlFile: limits that were raised before and those to be raised now. It is nil without any.
func (s *sysctl) file(low []lowLimit) ([]byte, error) {
	r, err := s.record().Read()
	if err != nil {
		return nil, err
	}
	all := with(r.Sysctls, low)
	if len(all) == 0 {
		return nil, nil
	}
	return s.text(all), nil
}

// with adds the limits that can be raised. Of one that was raised before, the first value of all stays recorded.
func with(before map[string]record.Raised, low []lowLimit) map[string]record.Raised {
	all := maps.Clone(before)
	for _, l := range low {
		if l.fixed != nil {
			continue
		}
		if all == nil {
			all = map[string]record.Raised{}
		}
		if old, ok := before[l.name]; ok {
			l.Was = old.Was
		}
		all[l.name] = l.Raised
	}
	return all
}

// text returns the content of the file, without limits that this kernel lacks: at boot they would be errors.
func (s *sysctl) text(all map[string]record.Raised) []byte {
	there := maps.Clone(all)
	maps.DeleteFunc(there, func(name string, _ record.Raised) bool {
		_, err := os.Stat(s.path(name))
		return errors.Is(err, fs.ErrNotExist)
	})
	return sysctlText(there)
}

func sysctlText(all map[string]record.Raised) []byte {
	var text bytes.Buffer
	text.WriteString("# Written by 'ndock node setup', removed by 'ndock node teardown': limits that all servers of this host share.\n# Other values belong into a file whose name comes later.\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s = %d\n", name, all[name].Is)
	}
	return text.Bytes()
}

// Do records each limit and then raises it. That the kernel refuses one is an Unchecked error.
func (s *sysctl) Do(context.Context) error {
	s.changed = map[string]record.Raised{}
	low, err := s.tooLow()
	if err != nil {
		return err
	}
	r, err := s.record().Read()
	if err != nil {
		return err
	}
	before := r.Sysctls
	if err := s.recordLimits(with(before, low)); err != nil {
		return err
	}
	s.did.OnRollback(func() error { return s.recordLimits(before) })
	refused := s.raise(low)
	raised := with(before, low)
	if err := s.recordLimits(raised); err != nil {
		return err
	}
	if err := s.write(raised); err != nil {
		return err
	}
	if refused != nil {
		return &node.Unchecked{Why: refused.Error()}
	}
	return nil
}

// raise raises the limits that can be raised. It marks those that the kernel refuses as fixed, and returns why.
func (s *sysctl) raise(low []lowLimit) error {
	var refused []error
	for i, l := range low {
		if l.fixed != nil {
			continue
		}
		if err := s.set(l.name, l.Is); err != nil {
			low[i].fixed = err
			refused = append(refused, fmt.Errorf("%s stays %d: %w", l.name, l.Was, err))
			continue
		}
		s.changed[l.name] = l.Raised
	}
	return errors.Join(refused...)
}

func (s *sysctl) recordLimits(all map[string]record.Raised) error {
	return s.record().Amend(func(r *record.Record) { r.Sysctls = all })
}

func (s *sysctl) write(all map[string]record.Raised) error {
	if len(all) == 0 {
		return nil
	}
	return s.did.Write(s.Layout.Path(sysctlFile), s.text(all), 0o644)
}

// Rollback sets the limits back to what they were before this run.
func (s *sysctl) Rollback(context.Context) ([]string, error) {
	failed := s.lower(s.changed)
	if failed != nil {
		s.did.KeepOthers() // for teardown to try again
	}
	return []string{"set the kernel's limits back"}, errors.Join(failed, s.did.Rollback())
}

// Teardown sets the limits back to what they were before setup. Limits that someone else has changed since stay.
func (s *sysctl) Teardown(context.Context) ([]string, error) {
	r, err := s.record().Read()
	if err != nil || len(r.Sysctls) == 0 {
		return nil, err
	}
	path := s.Layout.Path(sysctlFile)
	texts := []string{"set the kernel's limits back"}
	switch now, err := system.Inspect(path); {
	case err != nil:
		return nil, err
	case !now.Missing && isPartOf(now.Content, sysctlText(r.Sysctls)):
		if err := s.did.Remove(path); err != nil {
			return nil, err
		}
		texts = append(texts, "removed "+path)
	case s.Layout.Exists(sysctlFile):
		texts = append(texts, "left "+path+", which was edited")
	}
	if err := s.lower(r.Sysctls); err != nil {
		return texts, err
	}
	return texts, s.recordLimits(nil)
}

// isPartOf tells whether all lines of a text are lines of another.
func isPartOf(content, whole []byte) bool {
	lines := strings.Split(string(whole), "\n")
	for line := range strings.SplitSeq(string(content), "\n") {
		if !slices.Contains(lines, line) {
			return false
		}
	}
	return true
}

// lower sets back the limits that are still as setup made them. Limits that have become read-only are left.
func (s *sysctl) lower(all map[string]record.Raised) error {
	var failed []error
	for name, one := range all {
		if now, err := s.get(name); err != nil || now != one.Is {
			continue
		}
		err := s.set(name, one.Was)
		if err != nil && !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("set %s back to %d: %w", name, one.Was, err))
		}
	}
	return errors.Join(failed...)
}

// Detail names the limits that cannot be raised.
func (s *sysctl) Detail(context.Context) (string, error) {
	low, err := s.tooLow()
	if err != nil {
		return "", err
	}
	if len(low) == 0 {
		return "the kernel's limits are as high as this host's size asks for", nil
	}
	var names []string
	for _, l := range low {
		names = append(names, fmt.Sprintf("%s is %d and should be %d (%v)", l.name, l.Was, l.Is, errors.Unwrap(l.fixed)))
	}
	return "cannot be raised here: " + strings.Join(names, ", "), nil
}
