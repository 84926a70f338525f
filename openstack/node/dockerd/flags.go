package dockerd

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Flags is a command line of dockerd's.
type Flags []string

// settingFlags are the flags for settings of daemon.json, where they have another name there.
var settingFlags = map[string]string{"runtimes": "add-runtime", "log-opts": "log-opt"}

// FlagOf returns the name of the flag for a setting.
func FlagOf(setting string) string { return cmp.Or(settingFlags[setting], setting) }

// shortFlags are those of dockerd's flags that can be one letter.
var shortFlags = map[string]string{"bridge": "-b", "host": "-H"}

// Value returns what a flag is given as at last, "true" where nothing follows it that could be its value.
func (f Flags) Value(flag string) (value string, given bool) {
	all := f.Values(flag)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1], true
}

// Values returns all that a flag is given as.
func (f Flags) Values(flag string) []string {
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

// WithFlags returns the settings with those that the operator has decided on by a flag: what setup can do without, and what
// does not go together with its own.
func (s Settings) WithFlags(flags Flags) Settings {
	for flag, setting := range map[string]**string{"bip": &s.BridgeIP, "bip6": &s.BridgeIP6, "fixed-cidr": &s.FixedCIDR, "userns-remap": &s.Userns} {
		if value, given := flags.Value(flag); given {
			*setting = &value
		}
	}
	for flag, setting := range map[string]**bool{"icc": &s.Between, "live-restore": &s.LiveRestore} {
		if value, given := flags.Value(flag); given {
			on, err := strconv.ParseBool(value)
			on = on || err != nil // what follows it is no value of its own
			*setting = &on
		}
	}
	if driver, given := flags.Value("log-driver"); given && !Rotates(driver) {
		s.LogDriver = &driver
	}
	if _, given := flags.Value("log-opt"); given {
		s.LogOptions = map[string]json.RawMessage{}
	}
	return s
}

// Rotates tells whether a log driver takes the options that setup sets.
func Rotates(driver string) bool { return driver == "json-file" || driver == "local" }

// IsUsualSocket tells whether a host that dockerd listens on is, or can be, /run/docker.sock.
func IsUsualSocket(host string) bool {
	return strings.HasPrefix(host, "fd:") || slices.Contains([]string{"unix://", "unix:///run/docker.sock", "unix:///var/run/docker.sock", "/run/docker.sock", "/var/run/docker.sock"}, host)
}
