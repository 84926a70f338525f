package ociruntime

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// maxTerminals is how many pseudo terminals a server may open: the kernel has 4096 for all, and Docker sets no limit.
const maxTerminals = 256

// nameFiles are the files that Docker mounts from directories of the host, where no quota of the container's counts, with the
// names of the container's own copies.
var nameFiles = map[string]string{"/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf", "/etc/hostname": "hostname"}

// editMounts limits what all containers share in the kernel, and replaces files of the host by copies. It returns the files
// to copy, by the name of the copy.
func editMounts(mounts json.RawMessage, names string) (json.RawMessage, map[string]string, error) {
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(mounts, &all); err != nil {
		return nil, nil, err
	}
	copies := map[string]string{}
	for _, one := range all {
		var mount struct {
			Destination, Type, Source string
			Options                   []string
		}
		text, err := json.Marshal(one)
		if err == nil {
			err = json.Unmarshal(text, &mount)
		}
		if err != nil {
			return nil, nil, err
		}
		if name, found := nameFiles[mount.Destination]; found {
			copies[name] = mount.Source
			one["source"], err = json.Marshal(filepath.Join(names, name))
		}
		if mount.Type == "devpts" && !slices.ContainsFunc(mount.Options, func(o string) bool { return strings.HasPrefix(o, "max=") }) {
			one["options"], err = json.Marshal(append(mount.Options, fmt.Sprintf("max=%d", maxTerminals)))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	edited, err := json.Marshal(all)
	return edited, copies, err
}

// An idMapping maps ids of a container to ids of the host.
type idMapping struct {
	ContainerID int `json:"containerID"`
	HostID      int `json:"hostID"`
	Size        int `json:"size"`
}

// pingRange is the sysctl for the groups that may send pings without a capability.
const pingRange = "net.ipv4.ping_group_range"

// editLinux finds out which user is root in the container, and lets all in it send pings. Docker does that too, but not in a
// user namespace, where its range of all groups would be invalid.
func (e *edited) editLinux(config map[string]json.RawMessage) error {
	var linux map[string]json.RawMessage
	if config["linux"] == nil {
		return nil
	}
	if err := json.Unmarshal(config["linux"], &linux); err != nil {
		return err
	}
	var said struct {
		UIDMappings, GIDMappings []idMapping
		MountLabel               string
		Sysctl                   map[string]string
	}
	if err := json.Unmarshal(config["linux"], &said); err != nil {
		return err
	}
	e.label, e.uid, e.gid = said.MountLabel, hostRoot(said.UIDMappings), hostRoot(said.GIDMappings)
	if _, set := said.Sysctl[pingRange]; set || len(said.GIDMappings) == 0 {
		return nil
	}
	if said.Sysctl == nil {
		said.Sysctl = map[string]string{}
	}
	said.Sysctl[pingRange] = fmt.Sprintf("0 %d", max(1, said.GIDMappings[0].Size)-1)
	var err error
	if linux["sysctl"], err = json.Marshal(said.Sysctl); err != nil {
		return err
	}
	config["linux"], err = json.Marshal(linux)
	return err
}

func hostRoot(mappings []idMapping) int {
	for _, m := range mappings {
		if m.ContainerID == 0 {
			return m.HostID
		}
	}
	return 0
}
