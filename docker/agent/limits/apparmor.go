package limits

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/system"
)

// ServerProfile is the AppArmor profile that setup loads for servers.
const ServerProfile = "ndock-server"

// LoadedProfiles is where the kernel lists the profiles of AppArmor, a line each: its name, and its mode in brackets.
const LoadedProfiles = "/sys/kernel/security/apparmor/profiles"

// profilesLimit is more than all profiles of a host take, in bytes: snaps bring hundreds.
const profilesLimit = 4 << 20

// isLoaded tells whether a profile is in force. Where the list is not there, none is.
func isLoaded(list, profile string) (bool, error) {
	file, err := os.Open(list)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for AppArmor's profile %s: %w", profile, err)
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, profilesLimit))
	for lines.Scan() {
		if lines.Text() == profile+" (enforce)" {
			return true, nil
		}
	}
	return false, lines.Err()
}

// AppArmorProfile returns the AppArmor profile of a new container: the operator's, else that of servers where it is in force, else "",
// which is Docker's own.
func AppArmorProfile(operators string, info system.Info, list string) (string, error) {
	if operators != "default" {
		return operators, nil
	}
	if !slices.ContainsFunc(info.SecurityOptions, func(option string) bool { return strings.HasPrefix(option, "name=apparmor") }) {
		return "", nil
	}
	loaded, err := isLoaded(list, ServerProfile)
	if !loaded || err != nil {
		return "", err
	}
	return ServerProfile, nil
}
