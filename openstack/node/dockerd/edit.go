package dockerd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"ndock/openstack/node/jsonedit"
)

// RuntimeName is what servers' containers name as their runtime.
const RuntimeName = "ndock"

// Wanted says which settings are to be made, and whether the engine must be restarted to have them.
type Wanted struct {
	LiveRestore, Runtime, NoNetwork, Logs, Userns, Restart bool

	OtherRuntime bool // the runtime as Editor.Other has it; Runtime overrides it
}

// And returns what either wants.
func (w Wanted) And(other Wanted) Wanted {
	return Wanted{
		w.LiveRestore || other.LiveRestore, w.Runtime || other.Runtime, w.NoNetwork || other.NoNetwork,
		w.Logs || other.Logs, w.Userns || other.Userns, w.Restart || other.Restart,
		w.OtherRuntime || other.OtherRuntime,
	}
}

// A Setting is one of daemon.json: its value as JSON, and the keys that lead to it.
type Setting struct {
	value string
	path  []string
}

// Name is the setting's first key.
func (s Setting) Name() string { return s.path[0] }

// rotated limits logs. Without it Docker keeps whatever containers say until the disk is full.
const rotated = `{"max-size": "10m", "max-file": "3"}`

// Editor makes ndock's settings in the text of daemon.json. Everything else stays as its author wrote it.
type Editor struct {
	Runtime string // ndock's runtime, as an entry among runtimes
	Other   string // the entry that another build of ndock makes: the one without ndock-runtime, or the one with it
}

// SmallRuntime is the entry of a runtime that is called as runc is.
func SmallRuntime(program string) string { return fmt.Sprintf(`{"path": %q}`, program) }

// WholeRuntime is the entry of a runtime that is ndock itself.
func WholeRuntime(program string) string {
	return fmt.Sprintf(`{"path": %q, "runtimeArgs": ["node", "runtime"]}`, program)
}

// HasRuntime tells whether the settings have ndock's runtime as it is to be.
func (e Editor) HasRuntime(there Settings) bool {
	return sameJSON(there.Runtimes[RuntimeName], e.Runtime)
}

// HasOther tells whether the settings have ndock's runtime as another build makes it.
func (e Editor) HasOther(there Settings) bool {
	return sameJSON(there.Runtimes[RuntimeName], e.Other)
}

// HasOurs tells whether the settings have ndock's runtime, as any build makes it.
func (e Editor) HasOurs(there Settings) bool { return e.HasRuntime(there) || e.HasOther(there) }

// sameJSON compares, whatever the blanks and the order of keys.
func sameJSON(one json.RawMessage, other string) bool {
	var a, b any
	return json.Unmarshal(one, &a) == nil && json.Unmarshal([]byte(other), &b) == nil && reflect.DeepEqual(a, b)
}

// Settings returns those that are wanted, in their order in the file.
func (e Editor) Settings(there Settings, wanted Wanted) []Setting {
	var all []Setting
	if wanted.LiveRestore {
		all = append(all, Setting{"true", []string{"live-restore"}})
	}
	switch {
	case wanted.Runtime:
		all = append(all, runtimeSetting(there, e.Runtime))
	case wanted.OtherRuntime:
		all = append(all, runtimeSetting(there, e.Other))
	}
	if wanted.NoNetwork {
		all = append(all, there.withoutNetwork()...)
	}
	if wanted.Logs {
		all = append(all, Setting{rotated, []string{"log-opts"}})
	}
	if wanted.Userns {
		all = append(all, Setting{`"default"`, []string{"userns-remap"}})
	}
	return all
}

func runtimeSetting(there Settings, entry string) Setting {
	if there.Runtimes == nil { // null, too
		return Setting{fmt.Sprintf("{%q: %s}", RuntimeName, entry), []string{"runtimes"}}
	}
	return Setting{entry, []string{"runtimes", RuntimeName}}
}

// Make returns the content with the settings that are wanted.
func (e Editor) Make(content []byte, wanted Wanted) ([]byte, error) {
	there, err := Parse(content)
	if err != nil {
		return nil, err
	}
	for _, setting := range slices.Backward(e.Settings(there, wanted)) { // each is put before the others
		if content, err = jsonedit.Set(content, setting.value, setting.path...); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// Made tells whether ndock's settings, and nothing else, make one content of the other, and which they were: that depends
// on what the engine was like at that time. Ndock's runtime is always among them: the others alone may be the operator's, as
// Docker's manual has some of them in these very words.
func (e Editor) Made(before, after []byte) (Wanted, bool, error) {
	there, err := Parse(before)
	if err != nil {
		return Wanted{}, false, err
	}
	for combination := range 64 {
		settings := Wanted{
			LiveRestore: combination&1 == 0, Runtime: combination&2 == 0, NoNetwork: combination&4 != 0,
			Logs: combination&8 != 0, Userns: combination&16 != 0,
			OtherRuntime: combination&32 != 0,
		}
		if !settings.Runtime && !settings.OtherRuntime && !e.HasOurs(there) {
			continue
		}
		made, err := e.Make(before, settings)
		if err != nil {
			return Wanted{}, false, err
		}
		if settings != (Wanted{}) && bytes.Equal(made, after) {
			return settings, true, nil
		}
	}
	return Wanted{}, false, nil
}
