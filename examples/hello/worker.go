// A plain worker: it knows the CAP packets and nothing else. See README.md for its dependencies.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	agentv1 "hello/agentv1"
)

const (
	pool           = "hello"
	heartbeatEvery = 5 * time.Second
	resultTTL      = 24 * time.Hour
)

// One subject token: no dots, spaces or wildcards.
var workerID = fmt.Sprintf("hello-go-%d", os.Getpid())

type input struct {
	Name string `json:"name"`
}

type output struct {
	Greeting string `json:"greeting"`
}

func main() {
	bus, err := nats.Connect(env("NATS_URL", nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	options, err := redis.ParseURL(env("REDIS_URL", "redis://localhost:6379"))
	if err != nil {
		log.Fatal(err)
	}
	store := redis.NewClient(options)

	_, err = bus.Subscribe("worker."+workerID+".jobs", func(message *nats.Msg) {
		var request agentv1.BusPacket
		if err := proto.Unmarshal(message.Data, &request); err != nil || request.GetJobRequest() == nil {
			return
		}
		result := execute(store, request.GetJobRequest())
		// No answer to the dispatch: a plain worker does not know the handshake.
		publish(bus, "sys.job.result", &agentv1.BusPacket{
			TraceId: request.TraceId,
			Payload: &agentv1.BusPacket_JobResult{JobResult: result},
		})
	})
	if err != nil {
		log.Fatal(err)
	}

	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Printf("%s serves job.hello", workerID)
	ticker := time.NewTicker(heartbeatEvery)
	defer ticker.Stop()
	for {
		publish(bus, "sys.heartbeat", &agentv1.BusPacket{
			Payload: &agentv1.BusPacket_Heartbeat{Heartbeat: &agentv1.Heartbeat{
				WorkerId: workerID, Pool: pool, MaxParallelJobs: 1,
			}},
		})
		select {
		case <-ticker.C:
		case <-stopped.Done():
			if err := bus.Drain(); err != nil {
				log.Print(err)
			}
			for !bus.IsClosed() {
				time.Sleep(10 * time.Millisecond)
			}
			return
		}
	}
}

func execute(store *redis.Client, job *agentv1.JobRequest) *agentv1.JobResult {
	result := &agentv1.JobResult{JobId: job.JobId, WorkerId: workerID}
	pointer, err := greet(store, job)
	if err != nil {
		result.Status = agentv1.JobStatus_JOB_STATUS_FAILED
		result.ErrorCode = "handler_error"
		result.ErrorMessage = err.Error()
		return result
	}
	result.Status = agentv1.JobStatus_JOB_STATUS_SUCCEEDED
	result.ResultPtr = pointer
	return result
}

// greet returns the pointer to its output.
func greet(store *redis.Client, job *agentv1.JobRequest) (string, error) {
	ctx := context.Background()
	body, err := store.Get(ctx, strings.TrimPrefix(job.ContextPtr, "redis://")).Bytes()
	if err != nil {
		return "", err
	}
	if job.Env["CORDUM_INPUT"] == "context" { // the submit envelope holds the input as its member "context"
		var envelope struct {
			Context json.RawMessage `json:"context"`
		}
		if err := json.Unmarshal(body, &envelope); err != nil {
			return "", err
		}
		if envelope.Context != nil {
			body = envelope.Context
		}
	}
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		return "", err
	}
	out, err := json.Marshal(output{Greeting: "Hello, " + in.Name + "!"})
	if err != nil {
		return "", err
	}
	key := "res:" + job.JobId
	return "redis://" + key, store.Set(ctx, key, out, resultTTL).Err()
}

func publish(bus *nats.Conn, subject string, packet *agentv1.BusPacket) {
	packet.SenderId = workerID
	packet.CreatedAt = timestamppb.Now()
	packet.ProtocolVersion = 1
	data, err := proto.Marshal(packet)
	if err == nil {
		err = bus.Publish(subject, data)
	}
	if err != nil {
		log.Print(err)
	}
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
