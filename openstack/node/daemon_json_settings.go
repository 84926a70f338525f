package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// settings are those of daemon.json that matter here; nil for what is not decided there.
type settings struct {
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

func parseSettings(content []byte) (settings, error) {
	var there settings
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return there, errors.New("it is in UTF-16: save it as UTF-8")
	}
	content = bytes.TrimPrefix(content, byteOrderMark)
	if len(bytes.TrimSpace(content)) == 0 {
		return there, nil
	}
	err := json.Unmarshal(content, &there)
	return there, err
}

// undecided tells whether one of those about the host's network is nobody's decision yet.
func (s settings) undecided() bool { return len(s.withoutNetwork()) > 0 }

// noNetwork tells whether they are all as ndock wants them.
func (s settings) noNetwork() bool {
	is := func(value *bool) bool { return value != nil && !*value }
	return s.Bridge != nil && *s.Bridge == "none" && is(s.IPTables) && is(s.IP6Tables) && is(s.IPForward)
}

// missing says which of the settings are to be made, and whether the engine must begin anew to have them.
type missing struct{ liveRestore, runtime, noNetwork, logs, userns, restart bool }

func (m missing) and(other missing) missing {
	return missing{
		m.liveRestore || other.liveRestore, m.runtime || other.runtime, m.noNetwork || other.noNetwork,
		m.logs || other.logs, m.userns || other.userns, m.restart || other.restart,
	}
}

// Docker keeps whatever containers say until the disk is full, if it is not told otherwise.
const rotated = `{"max-size": "10m", "max-file": "3"}`

func (d *daemonJSON) missing(ctx context.Context, content []byte) (missing, error) {
	there, err := d.decided(ctx, content)
	if err != nil {
		return missing{}, err
	}
	facts, asked := d.EngineFacts(ctx)
	if asked != nil {
		return d.beforeItStarts(ctx, there, asked)
	}
	m := missing{
		liveRestore: there.LiveRestore == nil && !facts.LiveRestore && !facts.Swarm,
		runtime:     !d.isOurs(there) || !slices.Contains(facts.Runtimes, runtimeName),
		logs:        there.LogDriver == nil && there.LogOptions == nil && rotates(facts.LogDriver),
		userns:      there.Userns == nil && d.engine.fresh(facts),
	}
	unused, spared := !facts.Swarm && len(facts.Networked) == 0, facts.Running == 0 || facts.LiveRestore || m.liveRestore
	m.noNetwork = there.undecided() && unused && spared && !d.done(facts)
	m.restart = m.noNetwork || m.userns || there.noNetwork() && unused && facts.Bridge && facts.Running == 0
	return m, nil
}

// beforeItStarts is for an engine that does not run: it reads its file when it does.
func (d *daemonJSON) beforeItStarts(ctx context.Context, there settings, asked error) (missing, error) {
	if pid, err := d.Services.PID(ctx, d.Layout.Engine.Service); err != nil || pid != 0 {
		return missing{}, errors.Join(asked, err)
	}
	return missing{
		liveRestore: there.LiveRestore == nil, runtime: !d.isOurs(there), noNetwork: there.undecided(),
		logs: there.LogDriver == nil && there.LogOptions == nil, userns: there.Userns == nil && d.engine.fresh(EngineFacts{}),
	}, nil
}

// done tells of an engine that Kolla has set up: it makes no bridge, and to restart it would restart all of OpenStack.
func (d *daemonJSON) done(facts EngineFacts) bool { return d.Layout.Kolla && !facts.Bridge }

func (d *daemonJSON) isOurs(there settings) bool {
	return sameJSON(there.Runtimes[runtimeName], d.runtime())
}

// sameJSON compares, whatever the blanks.
func sameJSON(one json.RawMessage, other string) bool {
	var a, b bytes.Buffer
	return json.Compact(&a, one) == nil && json.Compact(&b, []byte(other)) == nil && a.String() == b.String()
}

// A setting is one of daemon.json, as it is to be.
type setting struct {
	value string
	path  []string
}

// toMake are the settings that are wanted, in their order in the file.
func (d *daemonJSON) toMake(there settings, wanted missing) []setting {
	var all []setting
	if wanted.liveRestore {
		all = append(all, setting{"true", []string{"live-restore"}})
	}
	if wanted.runtime {
		if there.Runtimes == nil { // null, too
			all = append(all, setting{fmt.Sprintf("{%q: %s}", runtimeName, d.runtime()), []string{"runtimes"}})
		} else {
			all = append(all, setting{d.runtime(), []string{"runtimes", runtimeName}})
		}
	}
	if wanted.noNetwork {
		all = append(all, there.withoutNetwork()...)
	}
	if wanted.logs {
		all = append(all, setting{rotated, []string{"log-opts"}})
	}
	if wanted.userns {
		all = append(all, setting{`"default"`, []string{"userns-remap"}})
	}
	return all
}

// withoutNetwork are those by which the engine leaves the host's network alone, as far as nobody has decided on them.
// Docker's rules, and the policy DROP that it gives FORWARD, are asked about each packet that Neutron bridges; its bridge
// is a way around Neutron.
func (s settings) withoutNetwork() []setting {
	var all []setting
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
			all = append(all, setting{one.value, []string{one.name}})
		}
	}
	return all
}

// with makes the settings that are wanted.
func (d *daemonJSON) with(content []byte, wanted missing) ([]byte, error) {
	there, err := parseSettings(content)
	if err != nil {
		return nil, err
	}
	for _, setting := range slices.Backward(d.toMake(there, wanted)) { // each is put before the others
		if content, err = withSetting(content, setting.value, setting.path...); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// madeOf tells whether setup's settings, and nothing else, make the one content of the other, and which they were: that
// depends on what the engine was like at that time.
func (d *daemonJSON) madeOf(saved, now []byte) (missing, bool, error) {
	for combination := range 32 {
		settings := missing{
			liveRestore: combination&1 == 0, runtime: combination&2 == 0, noNetwork: combination&4 != 0,
			logs: combination&8 != 0, userns: combination&16 != 0,
		}
		made, err := d.with(saved, settings)
		if err != nil {
			return missing{}, false, err
		}
		if settings != (missing{}) && bytes.Equal(made, now) {
			return settings, true, nil
		}
	}
	return missing{}, false, nil
}
