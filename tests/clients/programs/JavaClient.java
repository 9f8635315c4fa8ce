import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;

/** The JDK's HttpClient with its default trust store; {@code --http1} or {@code --http2} chooses the version. */
public class JavaClient {
    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    private static String why(Throwable error) {
        StringBuilder words = new StringBuilder();
        for (Throwable at = error; at != null; at = at.getCause()) {
            words.append(words.length() == 0 ? "" : " <- ").append(at);
        }
        return words.toString();
    }

    private static String perform(HttpClient client, String op, String url, byte[] payload) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(30));
        if (op.equals("POST")) request.POST(HttpRequest.BodyPublishers.ofByteArray(payload));
        HttpResponse<byte[]> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        byte[] body = answer.body();
        String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body));
        String protocol = answer.version() == HttpClient.Version.HTTP_2 ? "HTTP/2" : "HTTP/1.1";
        String said = answer.statusCode() >= 400 ? ",\"said\":" + quoted(new String(body, StandardCharsets.UTF_8)) : "";
        return String.format(
                "\"status\":%d,\"protocol\":\"%s\",\"type\":%s,\"length\":%d,\"sha256\":\"%s\"%s",
                answer.statusCode(), protocol, quoted(answer.headers().firstValue("content-type").orElse("")),
                body.length, digest, said);
    }

    public static void main(String[] arguments) throws Exception {
        boolean second = arguments[0].equals("--http2");
        HttpClient client = HttpClient.newBuilder()
                .version(second ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1)
                .connectTimeout(Duration.ofSeconds(10))
                .build();
        byte[] payload = Files.readAllBytes(Path.of(System.getenv("PAYLOAD")));
        for (int i = 1; i < arguments.length; i++) {
            int at = arguments[i].indexOf('=');
            String op = arguments[i].substring(0, at);
            String url = arguments[i].substring(at + 1);
            long started = System.nanoTime();
            String told;
            try {
                told = perform(client, op, url, payload);
            } catch (Exception error) {
                told = "\"error\":" + quoted(why(error));
            }
            long ms = (System.nanoTime() - started) / 1_000_000;
            System.out.printf("{\"op\":\"%s\",\"url\":%s,\"ms\":%d,%s}%n", op, quoted(url), ms, told);
        }
    }
}
