// Package dockerd reads and edits what Docker Engine is configured by: its file, daemon.json, and the flags of its command
// line.
package dockerd

import (
	"bytes"
	"encoding/json"
	"errors"

	"ndock/openstack/node/jsonedit"
)

// File is what Docker Engine reads when it starts.
const File = "/etc/docker/daemon.json"

// Settings are those of daemon.json that matter to setup; nil for what is not decided there.
type Settings struct {
	LiveRestore *bool                      `json:"live-restore"`
	Runtimes    map[string]json.RawMessage `json:"runtimes"`
	Bridge      *string                    `json:"bridge"`
	IPTables    *bool                      `json:"iptables"`
	IP6Tables   *bool                      `json:"ip6tables"`
	IPForward   *bool                      `json:"ip-forward"`
	Userns      *string                    `json:"userns-remap"`
	LogDriver   *string                    `json:"log-driver"`
	LogOptions  map[string]json.RawMessage `json:"log-opts"`
	Hosts       []string                   `json:"hosts"` // that it listens on

	// With these the engine has a bridge, or does not start: with bridge "none", or with no rules.
	BridgeIP  *string `json:"bip"`
	BridgeIP6 *string `json:"bip6"`
	FixedCIDR *string `json:"fixed-cidr"`
	Between   *bool   `json:"icc"`
}

// Parse reads the content of daemon.json, which may be empty.
func Parse(content []byte) (Settings, error) {
	var there Settings
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return there, errors.New("it is in UTF-16: save it as UTF-8")
	}
	content = bytes.TrimPrefix(content, jsonedit.ByteOrderMark)
	if len(bytes.TrimSpace(content)) == 0 {
		return there, nil
	}
	err := json.Unmarshal(content, &there)
	return there, err
}

// RuntimeProgram returns the program of ndock's runtime; empty where there is none.
func (s Settings) RuntimeProgram() string {
	var runtime struct{ Path string }
	_ = json.Unmarshal(s.Runtimes[RuntimeName], &runtime) // what is no runtime has no program
	return runtime.Path
}

// NetworkUndecided tells whether one of the settings about the host's network is nobody's decision yet.
func (s Settings) NetworkUndecided() bool { return len(s.withoutNetwork()) > 0 }

// NoNetwork tells whether the engine leaves the host's network alone.
func (s Settings) NoNetwork() bool {
	is := func(value *bool) bool { return value != nil && !*value }
	return s.Bridge != nil && *s.Bridge == "none" && is(s.IPTables) && is(s.IP6Tables) && is(s.IPForward)
}

// withoutNetwork returns the settings by which the engine leaves the host's network alone, as far as nobody has decided on
// them. Docker's rules, and the policy DROP that it gives FORWARD, are asked about each packet that Neutron bridges; its
// bridge is a way around Neutron.
func (s Settings) withoutNetwork() []Setting {
	var all []Setting
	if s.BridgeIP != nil || s.BridgeIP6 != nil || s.FixedCIDR != nil || s.Between != nil && !*s.Between {
		return nil
	}
	for _, one := range []struct {
		open        bool
		value, name string
	}{
		{s.Bridge == nil, `"none"`, "bridge"},
		{s.IPTables == nil, "false", "iptables"},
		{s.IP6Tables == nil, "false", "ip6tables"},
		{s.IPForward == nil, "false", "ip-forward"},
	} {
		if one.open {
			all = append(all, Setting{one.value, []string{one.name}})
		}
	}
	return all
}
