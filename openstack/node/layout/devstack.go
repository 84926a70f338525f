package layout

import (
	"bufio"
	"bytes"
	"path/filepath"
	"slices"
	"strings"

	"ndock/openstack/node/system"
)

// devstackUnit is nova-compute's.
const devstackUnit = "/etc/systemd/system/devstack@n-cpu.service"

// findDevStack finds DevStack's nova-compute by the unit that stack.sh writes. The unit names its script, which may be in a
// virtual environment, its configuration and its user.
func findDevStack(root string) (Layout, bool) {
	l := general(root)
	unit, err := readUnit(l.Path(devstackUnit))
	if err != nil {
		return l, false
	}
	l.Name = "DevStack"
	l.Compute = system.Service{Name: "devstack@n-cpu"}
	l.Config = "/etc/nova/nova-cpu.conf"
	command := strings.Fields(unit["ExecStart"])
	if len(command) > 0 {
		l.Program = command[0]
	}
	for i, word := range command[:max(0, len(command)-1)] {
		if word == "--config-file" {
			l.Config = command[i+1]
		}
	}
	l.Configs = append(slices.Clone(dropIns), l.Config)
	l.User = unit["User"]
	l.DeployTool = localConf(root, l.User)
	return l, true
}

// localConf finds the file that stack.sh merges into nova-cpu.conf.
func localConf(root, user string) *DeployToolFile {
	for _, dir := range []string{"/opt/stack/devstack", filepath.Join("/home", user, "devstack"), "/root/devstack"} {
		if path := filepath.Join(dir, "local.conf"); exists(root, path) {
			return &DeployToolFile{Path: path, Section: "[[post-config|$NOVA_CPU_CONF]]", Tool: "stack.sh"}
		}
	}
	return nil
}

// readUnit reads those settings of a systemd unit that are on one line each. Of a setting with several lines the last counts.
func readUnit(path string) (map[string]string, error) {
	content, err := system.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		if name, value, found := strings.Cut(lines.Text(), "="); found {
			settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return settings, lines.Err()
}
