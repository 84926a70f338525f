package steps

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ndock/openstack/node/dockerd"
	"ndock/openstack/node/record"
	"ndock/openstack/node/system"
)

// Teardown stops the agent before its files go.
func (a *agent) Teardown(ctx context.Context) ([]string, error) {
	there := slices.DeleteFunc(a.installed(ctx), func(path string) bool { return !a.exists(path) })
	active, err := a.active(ctx)
	if err != nil {
		return nil, err
	}
	if len(there) == 0 && !active {
		return nil, a.clear() // of what a setup or a teardown has left that was killed
	}
	var texts []string
	if active || !a.packaged() && a.isService() {
		texts = append(texts, "stopped service "+agentName)
	}
	if err := a.stop(ctx, true, true); err != nil {
		return nil, err
	}
	var gone system.Changes
	for _, path := range there {
		if err := gone.Remove(a.Layout.Path(path)); err != nil {
			return texts, err
		}
		texts = append(texts, "removed "+a.Layout.Path(path))
	}
	if err := a.clear(); err != nil {
		return texts, err
	}
	return append(texts, a.left(ctx)...), a.Services.Forget(ctx, a.service())
}

// clear removes the programs that are gone from the record, what is known of layers, and the directories that are empty.
func (a *agent) clear() error {
	if err := errors.Join(a.disclaimPrograms(), system.RemoveAll(a.Layout.Path(layersDir))); err != nil {
		return err
	}
	for _, dir := range []string{serversDir, runtimesDir, dropInDir, filepath.Dir(a.Layout.Runtime), filepath.Dir(record.File), filepath.Dir(a.Layout.AgentConf)} {
		system.RemoveEmpty(a.Layout.Path(dir)) // stays when it holds more
	}
	return nil
}

// disclaimPrograms removes from the record the programs that are gone, and the configuration: what is left of that is the operator's.
func (a *agent) disclaimPrograms() error {
	return a.record().Amend(func(r *record.Record) {
		r.Config = ""
		if !a.exists(a.Layout.AgentFile) {
			r.Program = ""
		}
		if !a.exists(a.Layout.Runtime) || a.packaged() {
			r.Runtime = ""
		}
	})
}

// left returns a sentence on each file that teardown leaves.
func (a *agent) left(ctx context.Context) []string {
	var texts []string
	if others := a.otherServices(a.Layout.AgentFile); len(others) > 0 {
		texts = append(texts, "left "+a.Layout.Path(a.Layout.AgentFile)+", which "+strings.Join(others, ", ")+" runs")
	}
	for _, program := range a.programs() {
		if why := a.need(ctx, program); why != "" {
			texts = append(texts, "left "+a.Layout.Path(program)+", "+why)
		}
	}
	if why := a.need(ctx, a.Layout.Runtime); a.packaged() && why != "" {
		texts = append(texts, "ndock's package has to stay for "+a.Layout.Path(a.Layout.Runtime)+", "+why)
	}
	if a.exists(a.Layout.AgentConf) {
		texts = append(texts, "left "+a.Layout.Path(a.Layout.AgentConf)+", which was edited")
	}
	return texts
}

// installed returns the files that setup may have made, and that are to be removed.
func (a *agent) installed(ctx context.Context) []string {
	paths := a.superseded()
	for _, f := range a.daemon() {
		paths = append(paths, f.Path)
	}
	for _, program := range a.programs() {
		if a.need(ctx, program) == "" && len(a.otherServices(program)) == 0 {
			paths = append(paths, program)
		}
	}
	if a.isConfigUnchanged() {
		paths = append(paths, a.Layout.AgentConf)
	}
	return paths
}

// programs returns those that setup installed, and that are there. A record that cannot be read is an error of other steps. What
// setup installed before a package came is the package's, where that has it.
func (a *agent) programs() []string {
	r, err := a.record().Read()
	return slices.DeleteFunc([]string{a.Layout.AgentFile, a.Layout.Runtime}, func(path string) bool {
		return err != nil || path != r.Program && path != r.Runtime || !a.exists(path) || path == a.Layout.Runtime && a.packaged()
	})
}

// need returns why a program has to stay without the agent: the engine is told to call it, or a container runs, and what holds
// it calls the program that started it until it has ended. It is empty where nothing calls the program.
func (a *agent) need(ctx context.Context, program string) string {
	now, err := system.Inspect(a.Layout.Path(dockerd.File)) // an error of it is daemonJSON's
	if err == nil {
		if there, err := dockerd.Parse(now.Content); err == nil && there.RuntimeProgram() == program {
			return "which " + now.Path + " names"
		}
	}
	switch info, err := a.EngineInfo(ctx); {
	case err != nil && a.Layout.HasEngine():
		return "by which containers of servers are ended, and whether some run Docker Engine does not tell"
	case err == nil && info.Running > 0 && len(info.Servers) > 0:
		return "by which containers of servers are ended that may still run"
	}
	return ""
}

// otherServices returns the units of other services that run this program, as a registry does.
func (a *agent) otherServices(program string) (others []string) {
	runs := regexp.MustCompile(`(?m)^ExecStart="?` + regexp.QuoteMeta(program) + `"? `)
	units, _ := filepath.Glob(a.Layout.Path("/etc/systemd/system/*.service")) // the pattern is valid
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		name := filepath.Base(unit)
		if err == nil && name != agentName+".service" && runs.Match(text) {
			others = append(others, name)
		}
	}
	return others
}
