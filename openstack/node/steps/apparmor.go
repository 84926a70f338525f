package steps

import (
	"context"
	_ "embed" // the profile
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"ndock/openstack/node/system"
)

//go:embed service/ndock-server
var apparmorProfile []byte

// apparmor is the step that loads the AppArmor profile of servers. It comes before the agent is started.
type apparmor struct {
	Machine
	did system.Changes // of this run
}

const (
	serverProfile = "ndock-server" // as the agent knows it, in docker/agent/limits
	apparmorFile  = "/etc/apparmor.d/" + serverProfile
	// profilesFile is where the kernel lists the profiles that are loaded, a line each: its name, and its mode in brackets.
	profilesFile = "/sys/kernel/security/apparmor/profiles"
)

// parserLimit is how long a profile may take to become the kernel's.
const parserLimit = time.Minute

// confines tells whether AppArmor is in use here, with the program that loads profiles.
func (m Machine) confines() bool {
	return m.Layout.Exists(profilesFile) && m.Layout.Exists("/sbin/apparmor_parser", "/usr/sbin/apparmor_parser")
}

func (a *apparmor) Title() string { return "apparmor" }

func (a *apparmor) Plan(context.Context) ([]string, error) {
	same, err := system.Holds(a.Layout.Path(apparmorFile), apparmorProfile, 0o644)
	if err != nil {
		return nil, err
	}
	loaded, err := a.isLoaded()
	if err != nil || same && loaded {
		return nil, err
	}
	return []string{"load AppArmor profile " + serverProfile + " for servers (" + a.Layout.Path(apparmorFile) + ")"}, nil
}

func (a *apparmor) isLoaded() (bool, error) {
	content, err := os.ReadFile(a.Layout.Path(profilesFile))
	if err != nil {
		return false, fmt.Errorf("look for AppArmor's profiles: %w", err)
	}
	return slices.Contains(strings.Split(string(content), "\n"), serverProfile+" (enforce)"), nil
}

// Do loads the profile. Servers that run with it are held to it from then on.
func (a *apparmor) Do(ctx context.Context) error {
	if err := a.did.Write(a.Layout.Path(apparmorFile), apparmorProfile, 0o644); err != nil {
		return err
	}
	return a.parser(ctx, "-r")
}

func (a *apparmor) parser(ctx context.Context, verb string) error {
	_, err := system.RunWithin(ctx, parserLimit, a.Commands, "apparmor_parser", verb, a.Layout.Path(apparmorFile))
	return err
}

// Rollback loads the profile of before where there was one, else unloads this one.
func (a *apparmor) Rollback(ctx context.Context) ([]string, error) {
	if !a.did.Any() {
		return nil, nil
	}
	if !a.did.HasMade() {
		failed := a.did.Rollback()
		return []string{"loaded the AppArmor profile of before"}, errors.Join(failed, a.parser(ctx, "-r"))
	}
	text, stays, err := a.unload(ctx)
	if stays {
		return []string{text}, err
	}
	return []string{text}, errors.Join(err, a.did.Rollback())
}

// unload takes the profile out of the kernel. It stays where there is a container of a server: one that runs would run on, confined
// by nothing, whatever is loaded later; and one that does not run would not start.
func (a *apparmor) unload(ctx context.Context) (text string, stays bool, err error) {
	info, err := a.EngineInfo(ctx)
	if err != nil && a.Layout.HasEngine() || len(info.Servers) > 0 {
		return "left AppArmor profile " + serverProfile + ", by which servers may be confined here", true, nil
	}
	return "unloaded AppArmor profile " + serverProfile, false, a.parser(ctx, "-R") // it reads the name in the file
}

// profileHead is how the profile's file begins in every release.
const profileHead = "# AppArmor profile of servers, written by 'ndock node setup' and removed by 'ndock node teardown'."

// Teardown unloads the profile and removes its file, unless somebody else wrote that.
func (a *apparmor) Teardown(ctx context.Context) ([]string, error) {
	path := a.Layout.Path(apparmorFile)
	if !system.BeginsWith(path, profileHead) {
		return nil, nil
	}
	loaded, err := a.isLoaded()
	if err != nil {
		return nil, err
	}
	var texts []string
	if loaded {
		text, stays, err := a.unload(ctx)
		if err != nil || stays {
			return []string{text}, err
		}
		texts = append(texts, text)
	}
	return append(texts, "removed "+path), a.did.Remove(path)
}

func (a *apparmor) Detail(context.Context) (string, error) {
	return "profile " + serverProfile + " is loaded", nil
}
