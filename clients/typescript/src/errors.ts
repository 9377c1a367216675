/** What can go wrong: the server's own words, and what kind of failure it is. */

/** Anything that went wrong in a call. */
export class LookalikeError extends Error {
  override name = "LookalikeError";
}

/** No answer came: the server is not running, or not at this address. */
export class Unreachable extends LookalikeError {
  override name = "Unreachable";
}

/** The server refused the call; `message` names the field and the bound. */
export class ApiError extends LookalikeError {
  override name = "ApiError";

  constructor(
    /** The HTTP status. */
    readonly status: number,
    message: string,
  ) {
    super(`${status}: ${message}`);
  }

  /** Whether there is no such collection, point or subject. */
  get isNotFound(): boolean {
    return this.status === 404;
  }

  /** Whether the key is missing or wrong. */
  get isUnauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** The error for an answer that is none of success. */
export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const message: unknown = JSON.parse(text).status.error;
    if (typeof message === "string") return new ApiError(response.status, message);
  } catch {
    // Not the server's own envelope.
  }
  return new ApiError(
    response.status,
    `no reason given; is this a lookalike server? (${text.slice(0, 200)})`,
  );
}
