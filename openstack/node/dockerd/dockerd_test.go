package dockerd

import (
	"slices"
	"testing"
)

func TestFlags(t *testing.T) {
	for flag, test := range map[string]struct {
		line Flags
		want []string
	}{
		"host":         {Flags{"-H", "fd://", "--host=tcp://:2375", "-Hunix://"}, []string{"fd://", "tcp://:2375", "unix://"}},
		"bridge":       {Flags{"-bnone", "--bridge-nf", "x"}, []string{"none"}},
		"live-restore": {Flags{"--live-restore", "--debug"}, []string{"true"}},
		"icc":          {Flags{"--icc=false"}, []string{"false"}},
		"bip":          {Flags{"--bip6=fd00::1/64"}, nil},
	} {
		if got := test.line.Values(flag); !slices.Equal(got, test.want) {
			t.Errorf("--%s: got %q, want %q", flag, got, test.want)
		}
	}
}

// Whatever settings were made, they are told from what somebody has edited since.
func TestMade(t *testing.T) {
	editor := Editor{Runtime: SmallRuntime("/usr/libexec/ndock/ndock-runtime"), Other: WholeRuntime("/usr/local/bin/ndock")}
	for _, before := range []string{"", `{"debug": true}`, `{"runtimes": {"nvidia": {"path": "n"}}}`} {
		for _, wanted := range []Wanted{{Runtime: true}, {OtherRuntime: true, Logs: true}, {LiveRestore: true, Runtime: true, NoNetwork: true, Logs: true, Userns: true}} {
			after, err := editor.Make([]byte(before), wanted)
			if err != nil {
				t.Fatal(err)
			}
			if got, ours, err := editor.Made([]byte(before), after); got != wanted || !ours || err != nil {
				t.Errorf("%s: got %+v, %t, %v", after, got, ours, err)
			}
			if _, ours, err := editor.Made([]byte(before), append(after, '\n')); ours || err != nil {
				t.Errorf("edited: got %t, %v", ours, err)
			}
		}
	}
}
