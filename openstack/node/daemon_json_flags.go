package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// settingFlags are dockerd's flags for what setup sets in daemon.json, where they have another name there.
var settingFlags = map[string]string{"runtimes": "add-runtime", "log-opts": "log-opt"}

// feasible returns an error where the settings that are wanted cannot be made: the file cannot be edited, the engine reads
// another, or it has a flag for one of them. Docker Engine does not start with a setting both as a flag and in its file.
func (d *daemonJSON) feasible(ctx context.Context, now snapshot, wanted missing) error {
	if _, _, err := d.edited(now, wanted); err != nil {
		return err
	}
	there, err := parseSettings(now.content)
	if err != nil {
		return err
	}
	flags, err := d.engineFlags(ctx)
	if err != nil {
		return err
	}
	settings := d.toMake(there, wanted)
	if err := d.reachable(ctx); err != nil && len(settings) > 0 {
		return err
	}
	for _, setting := range settings {
		if err := d.settable(setting.path[0], flags); err != nil {
			return err
		}
	}
	return nil
}

// reachable returns an error where an engine answers that is not this machine's service: it reads another file, and who
// restarts it is not known.
func (d *daemonJSON) reachable(ctx context.Context) error {
	service := d.Layout.Engine.Service
	pid, err := d.Services.PID(ctx, service)
	if err != nil || pid != 0 {
		return err
	}
	if _, err := d.EngineFacts(ctx); err != nil {
		return nil // it does not run
	}
	return advise(fmt.Errorf("an engine answers, but service %s does not run: it was started in another way, as by a snap, and does not read %s", service.Name, d.path()),
		"have it run as service %s, from a package of the distribution's or of Docker's", service.Name)
}

// settable returns an error where a setting of the file would not count, or keep the engine from starting.
func (d *daemonJSON) settable(name string, flags engineFlags) error {
	if file, given := flags.value("config-file"); given && filepath.Clean(file) != daemonFile {
		return advise(fmt.Errorf("set %s in %s: Docker Engine reads another file, %s, as --config-file in its command line says", name, d.path(), file),
			"have the engine read %s, or make setup's settings in the other file yourself", d.path())
	}
	flag := cmp.Or(settingFlags[name], name)
	if _, given := flags.value(flag); given {
		return advise(fmt.Errorf("set %s in %s: Docker Engine has --%s in its command line, and does not start with both", name, d.path(), flag),
			"move --%s from the command line of service %s (its unit, or a file that it reads) to %s, and restart the service", flag, d.Layout.Engine.Service.Name, d.path())
	}
	return nil
}

// engineFlags is dockerd's command line.
type engineFlags []string

// shortFlags are those of dockerd's flags that can be one letter.
var shortFlags = map[string]string{"bridge": "-b", "host": "-H"}

// value returns what a flag is given as at last, "true" where nothing follows it that could be its value.
func (f engineFlags) value(flag string) (value string, given bool) {
	all := f.values(flag)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// values returns all that a flag is given as.
func (f engineFlags) values(flag string) []string {
	var all []string
	for i, arg := range f {
		value, isLong := strings.CutPrefix(arg, "--"+flag)
		isLong = isLong && (value == "" || value[0] == '=')
		isShort := false
		if short := shortFlags[flag]; !isLong && short != "" {
			value, isShort = strings.CutPrefix(arg, short)
		}
		switch {
		case !isLong && !isShort:
		case value != "":
			all = append(all, strings.TrimPrefix(value, "="))
		case i+1 < len(f) && !strings.HasPrefix(f[i+1], "-") && f[i+1] != "":
			all = append(all, f[i+1])
		default:
			all = append(all, "true")
		}
	}
	return all
}

// engineFlags returns the flags that the engine runs with, and those that it would be started with: setup restarts it, and
// the operator may have edited its unit.
func (m Machine) engineFlags(ctx context.Context) (engineFlags, error) {
	service := m.Layout.Engine.Service
	pid, err := m.Services.PID(ctx, service)
	if err != nil {
		return nil, err
	}
	next, err := m.Services.Arguments(ctx, service)
	if err != nil || pid == 0 {
		return next, err
	}
	line, err := os.ReadFile(m.Layout.Path(fmt.Sprintf("/proc/%d/cmdline", pid)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it has ended
		return nil, fmt.Errorf("read the command line of Docker Engine: %w", err)
	}
	return append(strings.Split(string(line), "\x00"), next...), nil
}

// withFlags are the settings, with those that the operator has decided on by a flag: what setup can do without, and what
// does not go together with its own.
func (s settings) withFlags(flags engineFlags) settings {
	for flag, setting := range map[string]**string{"bip": &s.BridgeIP, "bip6": &s.BridgeIP6, "fixed-cidr": &s.FixedCIDR, "userns-remap": &s.Userns} {
		if value, given := flags.value(flag); given {
			*setting = &value
		}
	}
	for flag, setting := range map[string]**bool{"icc": &s.Between, "live-restore": &s.LiveRestore} {
		if value, given := flags.value(flag); given {
			on, err := strconv.ParseBool(value)
			on = on || err != nil // what follows it is no value of its own
			*setting = &on
		}
	}
	if driver, given := flags.value("log-driver"); given && !rotates(driver) {
		s.LogDriver = &driver
	}
	if _, given := flags.value("log-opt"); given {
		s.LogOptions = map[string]json.RawMessage{}
	}
	return s
}

// rotates tells whether a log driver takes the options that setup sets.
func rotates(driver string) bool { return driver == "json-file" || driver == "local" }

// decided are the settings of a file, and those of the engine's flags.
func (d *daemonJSON) decided(ctx context.Context, content []byte) (settings, error) {
	there, err := parseSettings(content)
	if err != nil {
		return there, fmt.Errorf("read %s: %w", d.path(), err)
	}
	flags, err := d.engineFlags(ctx)
	return there.withFlags(flags), err
}
