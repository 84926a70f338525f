package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"

	"ndock/docker/ociruntime"
)

func TestWhatAnEngineLacks(t *testing.T) {
	whole := func() (types.Version, system.Info) {
		return types.Version{Version: "20.10.0", APIVersion: "1.41"}, system.Info{
			MemoryLimit: true, SwapLimit: true, PidsLimit: true, CPUShares: true, CPUCfsQuota: true, CPUSet: true,
			SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=default"},
			Runtimes:        map[string]system.RuntimeWithStatus{ociruntime.Name: {}},
		}
	}
	if got := Lacks(whole()); len(got) > 0 {
		t.Errorf("nothing is missing, and it says %q", got)
	}
	for want, without := range map[string]func(*types.Version, *system.Info){
		"version 19.03.8 is older than 20.10": func(v *types.Version, _ *system.Info) { v.Version, v.APIVersion = "19.03.8", "1.40" },
		`no runtime "ndock"`:                  func(_ *types.Version, i *system.Info) { i.Runtimes = nil },
		"no seccomp":                          func(_ *types.Version, i *system.Info) { i.SecurityOptions = nil },
		"no limit of swap":                    func(_ *types.Version, i *system.Info) { i.SwapLimit = false },
		"no pinning":                          func(_ *types.Version, i *system.Info) { i.CPUSet = false },
	} {
		version, info := whole()
		without(&version, &info)
		if got := Lacks(version, info); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// What a tenant has runc say is no word of the engine's about its API.
func TestWordsOfATenant(t *testing.T) {
	const words = "client version 1.51 is too new. Maximum supported API version is 1.41"
	for text, want := range map[string]bool{
		"Error response from daemon: " + words: true,
		words:                                  true, // as Docker's client wraps it
		`Error response from daemon: failed to create task: exec: "` + words + `": executable file not found`: false,
	} {
		err := fmt.Errorf("start: %w", errors.New(text))
		if got := IsAPIChange(err); got != want {
			t.Errorf("%s: got %t", text, got)
		}
	}
	if IsAPIChange(nil) {
		t.Error("nothing counts")
	}
}

// TestAStartThatFailsLate by another runtime than runc has said why, before the agent gives up on the engine.
func TestAStartThatFailsLate(t *testing.T) {
	if ociruntime.LongestStart >= changeLimit {
		t.Errorf("a start may take %s, and the engine %s to answer", ociruntime.LongestStart, changeLimit)
	}
}
