package server

import (
	"io"
	"net/http"

	"ndock/docker/agent"
	"ndock/docker/agent/instance"
)

// deleteInstance removes all that the server has on this host. The body may name ports, for some that are recorded nowhere.
// Where the server's container is only replaced, keep says what is kept: its ports (keep=ports), or, if there is one, also
// the backup (keep=aside).
func (s *Server) deleteInstance(_ http.ResponseWriter, r *http.Request) (any, error) {
	var ports agent.Ports
	if err := read(r, &ports); err != nil {
		return nil, err
	}
	keep := instance.Keep(r.URL.Query().Get("keep"))
	return done{}, s.instances.Remover.Delete(r.Context(), r.PathValue("uuid"), ports, keep)
}

// reserveDevices picks the devices that the server's next container will have.
func (s *Server) reserveDevices(_ http.ResponseWriter, r *http.Request) (any, error) {
	var spec agent.Spec
	if err := read(r, &spec); err != nil {
		return nil, err
	}
	names, err := s.instances.Creator.ReserveDevices(r.Context(), r.PathValue("uuid"), spec)
	return agent.DeviceNames{Devices: names}, err
}

func (s *Server) restart(_ http.ResponseWriter, r *http.Request) (any, error) {
	grace, err := graceOf(r)
	if err != nil {
		return nil, err
	}
	return done{}, s.instances.Power.Restart(r.Context(), r.PathValue("uuid"), grace)
}

// attachPort plugs one more port into a server. With join=false no container gets it, before the request is made once more
// without: until then Neutron has not filtered it.
func (s *Server) attachPort(_ http.ResponseWriter, r *http.Request) (any, error) {
	var vif agent.VIF
	if err := read(r, &vif); err != nil {
		return nil, err
	}
	if vif.ID != r.PathValue("port") {
		return nil, agent.Faultf(agent.BadRequest, "the request is for port %s, and its body for port %s", r.PathValue("port"), vif.ID)
	}
	wait := r.URL.Query().Get("join") == "false"
	return done{}, s.instances.Ports.Attach(r.Context(), r.PathValue("uuid"), vif, wait)
}

func (s *Server) detachPort(_ http.ResponseWriter, r *http.Request) (any, error) {
	return done{}, s.instances.Ports.Detach(r.Context(), r.PathValue("uuid"), r.PathValue("port"))
}

// getConsole sends the end of the server's log.
func (s *Server) getConsole(w http.ResponseWriter, r *http.Request) (any, error) {
	text, err := s.instances.Reports.Log(r.Context(), r.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	w.Header().Set("Content-Type", "text/plain")
	_, err = io.WriteString(w, text)
	return nil, err
}

func (s *Server) postSerial(_ http.ResponseWriter, r *http.Request) (any, error) {
	var asked agent.Serial
	if err := read(r, &asked); err != nil {
		return nil, err
	}
	return s.consoles.Open(r.Context(), r.PathValue("uuid"), asked)
}
