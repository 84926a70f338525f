package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/go-units"
	"github.com/moby/sys/capability"
)

// byDefault stands for Docker's own default; unconfined is a word of Docker's.
const (
	byDefault  = "default"
	unconfined = "unconfined"
)

// checkOwner makes sure that a file is root's, and that nobody else can write to it.
func checkOwner(path string, info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	case !ok || owner.Uid != 0:
		return fmt.Errorf("%s is not root's, so that another could decide what servers may do: chown root %[1]s", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written to by others than root: chmod go-w %[1]s", path)
	}
	return nil
}

// check refuses what Docker would only refuse when a server is created, and then as if the tenant were at fault.
func (c *Config) check() error {
	return errors.Join(c.checkSeccomp(), c.checkAppArmor(), c.checkCapabilities(), c.checkSizes(), c.checkUlimits(), c.checkBridges(), c.checkRuntimes(), c.checkDevices(), c.checkMetrics())
}

func (c *Config) checkSeccomp() error {
	switch {
	case c.Seccomp == byDefault || c.Seccomp == unconfined:
		return nil
	case !filepath.IsAbs(c.Seccomp):
		return fmt.Errorf("seccomp: %q is neither default nor unconfined nor the whole path of a profile", c.Seccomp)
	}
	file, err := open(c.Seccomp)
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	defer file.Close()
	profile, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	if !json.Valid(profile) {
		return fmt.Errorf("seccomp: %s is no JSON", c.Seccomp)
	}
	c.SeccompProfile = string(profile)
	return nil
}

// profileName matches names of AppArmor's profiles. Other characters could add a second option.
var profileName = regexp.MustCompile(`^[\w./-]+$`)

func (c *Config) checkAppArmor() error {
	if !profileName.MatchString(c.AppArmor) {
		return fmt.Errorf("apparmor: %q is no profile's name", c.AppArmor)
	}
	return nil
}

func (c *Config) checkCapabilities() error {
	known := map[string]bool{}
	for _, c := range capability.ListKnown() {
		known[strings.ToUpper(c.String())] = true
	}
	for key, names := range map[string][]string{"cap_drop": c.CapDrop, "cap_add": c.CapAdd} {
		for _, name := range names {
			if plain := strings.TrimPrefix(name, "CAP_"); !known[plain] && (key != "cap_drop" || name != "ALL") {
				return fmt.Errorf("%s: %q is no capability", key, name)
			}
		}
	}
	return nil
}

func (c *Config) checkSizes() error {
	switch {
	case c.PidsLimit < 1:
		return fmt.Errorf("pids_limit: %d would let no process run, or any number", c.PidsLimit)
	case c.ShmSizeMB < 1 || c.ShmSizeMB > 1<<30:
		return fmt.Errorf("shm_size_mb: %d is no size of /dev/shm", c.ShmSizeMB)
	case c.ImageMaxUnpackedGB < 1 || c.ImageMaxUnpackedGB > 1<<30:
		return fmt.Errorf("image_max_unpacked_gb: %d is no size of an image", c.ImageMaxUnpackedGB)
	case c.ImageReserveGB < 0 || c.ImageReserveGB > 1<<30:
		return fmt.Errorf("image_reserve_gb: %d is no part of a disk", c.ImageReserveGB)
	case c.HealthcheckMin < 1 || c.HealthcheckMin > 24*60*60:
		return fmt.Errorf("healthcheck_min_interval: %d is not from 1 s to a day", c.HealthcheckMin)
	}
	return nil
}

// noCoreDumps disables core dumps, which could be of any size, and would be passed to the host's handler.
func noCoreDumps() *units.Ulimit { return &units.Ulimit{Name: "core"} }

// bridgeName matches names that the kernel and Open vSwitch accept.
var bridgeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)

func (c *Config) checkBridges() error {
	for _, name := range c.Bridges {
		if !bridgeName.MatchString(name) {
			return fmt.Errorf("bridges: %q is no bridge's name", name)
		}
	}
	return nil
}

// checkMetrics wants an address and no name, so that no resolver decides who can see what servers there are.
func (c *Config) checkMetrics() error {
	if c.Metrics == "" {
		return nil
	}
	if at, err := netip.ParseAddrPort(c.Metrics); err != nil || at.Port() == 0 {
		return fmt.Errorf("metrics: %q is no address of this host with a port, as 127.0.0.1:9105 is", c.Metrics)
	}
	return nil
}

func (c *Config) checkUlimits() error {
	limits := map[string]*units.Ulimit{"core": noCoreDumps()}
	for name, text := range c.RawUlimits {
		limit, err := units.ParseUlimit(name + "=" + text)
		if err != nil {
			return fmt.Errorf("ulimits: %s: %w", name, err)
		}
		limits[name] = limit
	}
	c.Ulimits = nil
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		c.Ulimits = append(c.Ulimits, limits[name])
	}
	return nil
}
